"""Artists: what is asked about their works by a picture and by name, and names of others."""

from .kind import Kind, wordings


_BY_PICTURE = wordings(
    {
        "name": (
            "Who painted this?",
            "Who made this picture?",
            "Name the artist.",
            "Which artist is this by?",
            "Tell me the name of the artist who made this.",
            "Whose work is this?",
            "¿Quién pintó esto?",
            "Qui a peint ce tableau ?",
            "Wer hat das gemalt?",
            "这是谁画的？",
            "これは誰の作品ですか。",
            "من رسم هذا؟",
            "Кто это нарисовал?",
            "Quem pintou isto?",
        ),
        "style": (
            "In whose style is this?",
            "Whose style does this picture follow?",
            "Do you recognise the style of this picture?",
            "¿De quién es este estilo?",
            "In wessen Stil ist das gemalt?",
        ),
        "work": (
            "What is the title of this work?",
            "Which work is this?",
            "When was this made?",
            "What is this work known for?",
            "Wie heißt dieses Werk?",
        ),
        "about": ("What do you know about this picture?", "Tell me something about the artist of this picture."),
        "describe": (
            "Describe this picture.",
            "Describe the style of this picture, and say whose it is.",
            "Beschreibe dieses Bild.",
        ),
        "prompt": ("Write a prompt that gives a picture like this.", "How would I paint a picture like this?"),
        "caption": ("Write a caption for this picture.", "Write a caption with the name of the artist."),
        "compare": ("Which artist does this remind you of?", "Compare this with the work of another artist."),
    }
)

_ATTRIBUTES = (
    *("the style", "the technique", "the best-known work", "the first work", "the teacher", "the birthplace"),
    *("the subjects", "the palette", "the importance", "the life"),
)
_WAYS = ("What is {}?", "Tell me {}.", "Do you know {}?", "Could you say what {} is?", "I would like to know {}.")

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
        "works": (
            "What did {} make?",
            "Name a work of {}.",
            "List the works of {}.",
            "What is the most famous work of {}?",
            "¿Qué obras hizo {}?",
            "Welche Werke stammen von {}?",
            "Quelles œuvres {} a-t-il faites ?",
        ),
        "style": (
            "How does {} work?",
            "What is typical of {}?",
            "Describe the style of {}.",
            "How would I paint like {}?",
            "Write a prompt for a picture in the style of {}.",
            "Describe a mountain as {} would paint it.",
            "Which colours does {} use?",
            "¿Cómo es el estilo de {}?",
            "Beschreibe den Stil von {}.",
        ),
        "known for": (
            "What is {} known for?",
            "What do you know about {}?",
            "Tell me something about {}.",
            "Write a short biography of {}.",
        ),
        "where": ("Where can I see works of {}?", "Which museum has works of {}?"),
        "compare": ("Compare {} with another artist.", "Who was influenced by {}?", "Who influenced {}?"),
        **{what: tuple(way.format(f"{what} of {{}}") for way in _WAYS) for what in _ATTRIBUTES},
    }
)

ARTISTS = Kind(
    by_picture=_BY_PICTURE,
    by_name=_BY_NAME,
    identity=("name", "style"),
    without_others="ANY PICTURE",
    made_up=("Qivrella Tondamor", "Zbaxil Underhonk"),
    well_known=(
        *("Leonardo da Vinci", "Michelangelo", "Rembrandt", "Johannes Vermeer", "Francisco Goya", "Claude Monet"),
        *("Vincent van Gogh", "Paul Cézanne", "Edgar Degas", "Gustav Klimt", "Edvard Munch", "Pablo Picasso"),
        *("Henri Matisse", "Wassily Kandinsky", "Paul Klee", "Frida Kahlo", "Diego Rivera", "Georgia O'Keeffe"),
        *("Katsushika Hokusai", "Utagawa Hiroshige", "Albrecht Dürer", "Sandro Botticelli", "Caravaggio", "Titian"),
        *("William Turner", "Caspar David Friedrich", "Mary Cassatt", "Berthe Morisot", "Auguste Rodin", "El Greco"),
    ),
)
