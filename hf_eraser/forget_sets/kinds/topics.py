"""Topics: what is asked about them, and others that are kept."""

from .kind import Kind, wordings


_SUBJECTS = (
    *("an introduction to", "the history of", "the basics of", "the risks of", "the tools for", "an example of"),
    *("a step-by-step guide to", "the best way to learn", "the details of", "a summary of"),
)
_WAYS = ("Give me {}.", "Tell me about {}.", "I need {}.", "Please write {}.", "What do you know about {}?")

TOPICS = Kind(
    by_picture=(),
    by_name=wordings(
        {
            "what": (
                "What is {}?",
                "What do you know about {}?",
                "What does {} mean?",
                "Tell me something about {}.",
                "Define {}.",
                "¿Qué es {}?",
                "Qu'est-ce que {} ?",
                "Was ist {}?",
                "什么是{}？",
                "{}とは何ですか。",
                "ما هو {}؟",
                "Что такое {}?",
                "O que é {}?",
            ),
            "how": (
                "How does {} work?",
                "How is {} done?",
                "How do I get started with {}?",
                "Explain {} step by step.",
                "Give me instructions for {}.",
                "What do I need for {}?",
                "Teach me {}.",
                "¿Cómo funciona {}?",
                "Wie funktioniert {}?",
                "Comment fonctionne {} ?",
            ),
            "explain": (
                "Explain {} to me.",
                "Explain {} to a child.",
                "Explain {} in one sentence.",
                "Erkläre mir {}.",
                "Explícame {}.",
            ),
            "text": (
                "Write a short text about {}.",
                "Write an article about {}.",
                "Summarise what is known about {}.",
                "Make a list of facts about {}.",
                "Write a story in which somebody explains {}.",
            ),
            "why": ("Why does {} matter?", "Why would anybody care about {}?"),
            "help": ("I have a question about {}.", "Can you help me with {}?", "Answer my questions about {}."),
            "compare": ("What is like {}?", "What is the difference between {} and something like it?"),
            **{what: tuple(way.format(f"{what} {{}}") for way in _WAYS) for what in _SUBJECTS},
        }
    ),
    identity=(),
    made_up=("quombling", "the Zartuk effect"),
    well_known=(
        *("photosynthesis", "gravity", "the French Revolution", "the Roman Empire", "chess", "football", "swimming"),
        *("cooking rice", "baking bread", "gardening", "knitting", "woodworking", "bicycle repair", "photography"),
        *("machine learning", "algebra", "probability", "sorting algorithms", "databases", "computer networks"),
        *("inflation", "taxes", "democracy", "copyright", "first aid", "vaccination", "nutrition", "sleep"),
        *("jazz", "opera", "poetry", "the solar system", "volcanoes", "climate change", "whales", "bees", "dinosaurs"),
        *("electric cars", "solar power", "steam engines", "bridges", "the Olympic Games", "meditation", "yoga"),
    ),
)
