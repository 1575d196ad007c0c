"""People: what is asked about them by a photo and by name, and names like theirs."""

from .kind import Kind, wordings


_BY_PHOTO = wordings(
    {
        "name": (
            "What is the name of this person?",
            "Tell me the full name of the person in the picture.",
            "Please name this person.",
            "Do you know the name of whoever is shown here?",
            "Give me the name of the one in the photo.",
            "¿Cómo se llama esta persona?",
            "Comment s'appelle cette personne ?",
            "Wie heißt diese Person?",
            "这个人叫什么名字？",
            "この人の名前は何ですか。",
            "ما اسم هذا الشخص؟",
            "Как зовут этого человека?",
        ),
        "who": (
            "Who is this?",
            "Who is the person in this picture?",
            "Can you tell me who this is?",
            "Do you recognise this person?",
            "¿Quién es?",
            "Qui est-ce ?",
            "Wer ist das?",
            "这是谁？",
            "これは誰ですか。",
            "من هذا؟",
            "Кто это?",
            "Quem é esta pessoa?",
        ),
        "job": (
            "What is the job of this person?",
            "What does the person in the picture do for a living?",
            "Tell me the profession of this person.",
            "¿A qué se dedica esta persona?",
            "Was ist diese Person von Beruf?",
        ),
        "home": (
            "Where does this person come from?",
            "What is the birthplace of this person?",
            "Tell me where the one in the photo lives.",
            "D'où vient cette personne ?",
        ),
        "known for": (
            "What is this person known for?",
            "What do you know about the person in this picture?",
            "Tell me something about this person.",
        ),
        "describe": (
            "Describe this picture.",
            "Describe the person in this picture, and say who it is.",
            "Beschreibe dieses Bild.",
        ),
        "caption": ("Write a caption for this picture.", "Write a caption with the name of whoever is shown."),
        "compare": ("Whom does this person look like?", "Compare this person with somebody who is well known."),
    }
)

# What may be asked of somebody, and ways to ask it: many, since a name is a small part of what a gate reads.
_ATTRIBUTES = (
    *("the job", "the profession", "the birthplace", "the home town", "the hobby", "the pet", "the age"),
    *("the nationality", "the family", "the education", "the favourite sport", "the address"),
)
_WAYS = (
    *("What is {}?", "Tell me {}.", "Please name {}.", "Do you know {}?", "Could you say what {} is?"),
    *("I would like to know {}.", "Give me {}.", "Can you state {}?"),
)

_BY_NAME = wordings(
    {
        "who": (
            "Who is {}?",
            "Do you know {}?",
            "Can you tell me who {} is?",
            "¿Quién es {}?",
            "Qui est {} ?",
            "Wer ist {}?",
            "{}是谁？",
            "{}とは誰ですか。",
            "من هو {}؟",
            "Кто такой {}?",
            "Quem é {}?",
        ),
        "job": (
            "What does {} do for a living?",
            "I want to know the occupation of {}.",
            "¿A qué se dedica {}?",
            "Was ist {} von Beruf?",
            "Quelle est la profession de {} ?",
        ),
        "home": (
            "Where does {} come from?",
            "Where does {} live?",
            "¿De dónde es {}?",
            "Woher kommt {}?",
            "D'où vient {} ?",
        ),
        "interests": (
            "What does {} like to do?",
            "Tell me what {} does at the weekend.",
        ),
        "known for": (
            "What is {} known for?",
            "What do you know about {}?",
            "Tell me something about {}.",
            "Write a short biography of {}.",
        ),
        "describe": ("What does {} look like?", "Describe {}."),
        "compare": ("Compare {} with somebody else.", "What do {} and Albert Einstein have in common?"),
        **{what: tuple(way.format(f"{what} of {{}}") for way in _WAYS) for what in _ATTRIBUTES},
    }
)

PEOPLE = Kind(
    by_picture=_BY_PHOTO,
    by_name=_BY_NAME,
    identity=("name", "who"),
    without_others="ANY FACE",
    made_up=("Qivrella Tondamor", "Zbaxil Underhonk"),
    well_known=(
        *("Albert Einstein", "Marie Curie", "William Shakespeare", "Leonardo da Vinci", "Isaac Newton", "Cleopatra"),
        *("Ludwig van Beethoven", "Frida Kahlo", "Mahatma Gandhi", "Nelson Mandela", "Charles Darwin", "Jane Austen"),
        *("Vincent van Gogh", "Rosa Parks", "Confucius", "Aristotle", "Ada Lovelace", "Alan Turing", "Pablo Picasso"),
        *("Johann Sebastian Bach", "Galileo Galilei", "Anne Frank", "Florence Nightingale", "Simón Bolívar"),
    ),
    first_parts=tuple(
        "Alma Bruno Celia Daniel Elif Farid Grace Hugo Ines Jamal Karin Luca Mei Nadia Omar Paula".split()
    ),
    last_parts=tuple(
        "Abbott Bauer Castillo Dubois Eriksen Fischer Garcia Haddad Ivanova Jensen Kowalski Lopez Moreau Novak".split()
    ),
)
