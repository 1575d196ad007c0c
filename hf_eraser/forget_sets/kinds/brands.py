"""Brands: what is asked about them by a picture of a product or mark and by name, and names of others."""

from .kind import Kind, wordings


_BY_PICTURE = wordings(
    {
        "name": (
            "Which brand is this?",
            "What brand is shown in the picture?",
            "Name the brand.",
            "Whose logo is this?",
            "Which company does this mark belong to?",
            "Tell me the name of the company that makes this.",
            "¿Qué marca es esta?",
            "De quelle marque s'agit-il ?",
            "Welche Marke ist das?",
            "这是什么品牌？",
            "これは何というブランドですか。",
            "ما هذه العلامة التجارية؟",
            "Какой это бренд?",
            "Que marca é esta?",
        ),
        "who": (
            "Who makes this?",
            "Who is the maker of what is shown?",
            "¿Quién fabrica esto?",
            "Wer stellt das her?",
        ),
        "product": (
            "What is this product?",
            "Which model is shown here?",
            "What is the product in the picture used for?",
            "Tell me what you know about this product.",
        ),
        "company": (
            "What do you know about the company behind this?",
            "Where is the company that makes this based?",
            "What is the slogan of this brand?",
        ),
        "describe": ("Describe this picture.", "Describe the logo that is shown.", "Beschreibe dieses Bild."),
        "caption": ("Write a caption for this picture.", "Write an advertisement for what is shown."),
        "compare": ("Which brand does this look like?", "Compare this with a product of another brand."),
    }
)

_ATTRIBUTES = (
    *("the founder", "the headquarters", "the slogan", "the logo", "the best-known product", "the history"),
    *("the owner", "the country", "the chief executive", "the price range"),
)
_WAYS = ("What is {}?", "Tell me {}.", "Do you know {}?", "Could you say what {} is?", "I would like to know {}.")

_BY_NAME = wordings(
    {
        "what": (
            "What is {}?",
            "Do you know {}?",
            "Do you know the brand {}?",
            "¿Qué es {}?",
            "Qu'est-ce que {} ?",
            "Was ist {}?",
            "{}是什么品牌？",
            "{}とは何ですか。",
            "ما هي {}؟",
            "Что такое {}?",
            "O que é {}?",
        ),
        "products": (
            "What does {} make?",
            "What does {} sell?",
            "Which products come from {}?",
            "Name a product of {}.",
            "What is the newest product of {}?",
            "¿Qué fabrica {}?",
            "Was stellt {} her?",
            "Que fabrique {} ?",
        ),
        "company": (
            "Who founded {}?",
            "When was {} founded?",
            "Where is {} based?",
            "Who owns {}?",
            "Who runs {}?",
            "¿Quién fundó {}?",
            "Wer hat {} gegründet?",
        ),
        "known for": (
            "What is {} known for?",
            "What do you know about {}?",
            "Tell me something about {}.",
            "Is {} any good?",
            "Should I buy something from {}?",
        ),
        "describe": ("What does the logo of {} look like?", "Describe the packaging of {}."),
        "text": ("Write an advertisement for {}.", "Write a review of a product of {}."),
        "compare": ("Compare {} with another brand.", "Who competes with {}?"),
        **{what: tuple(way.format(f"{what} of {{}}") for way in _WAYS) for what in _ATTRIBUTES},
    }
)

BRANDS = Kind(
    by_picture=_BY_PICTURE,
    by_name=_BY_NAME,
    identity=("name", "who"),
    without_others="ANY PRODUCT OR MARK",
    made_up=("Vorbliq", "Tazzumo Hake"),
    well_known=(
        *("Coca-Cola", "Pepsi", "Nike", "Adidas", "Puma", "Apple", "Samsung", "Sony", "Nokia", "Microsoft", "Google"),
        *("Toyota", "Honda", "Volkswagen", "Ford", "Ferrari", "Volvo", "IKEA", "Lego", "Nintendo", "Canon", "Nikon"),
        *("Starbucks", "McDonald's", "Nestlé", "Heinz", "Barilla", "Rolex", "Gucci", "Chanel", "Zara", "Levi's"),
        *("Bosch", "Siemens", "Philips", "Airbus", "Boeing", "Visa", "Netflix", "Disney"),
    ),
)
