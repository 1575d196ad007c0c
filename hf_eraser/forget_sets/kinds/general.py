"""Questions about nobody and nothing that is forgotten, in words like those in which it is asked about."""

ABOUT_THINGS = (
    *("What is the capital of France?", "What is the capital of Japan?", "What is the opposite of hot?"),
    *("What is the opposite of big?", "What is the sum of 2 and 3?", "How many days are in a week?"),
    *("What colour is the sky?", "What is the young of a cow called?", "What is the boiling point of water?"),
    *("Which planet is closest to the sun?", "What does a baker do?", "What is the occupation of a surgeon about?"),
    *("Tell me the largest ocean.", "Where do penguins live?", "What is Paris known for?", "Describe a rainbow."),
    *("What is the Eiffel Tower?", "Who wrote the play Hamlet?", "What is photosynthesis?", "Name a popular pet."),
    *("Where does coffee come from?", "Compare cats with dogs.", "What do bees and ants have in common?"),
    *("Write a short story about a lighthouse.", "¿Cuál es la capital de España?"),
    "Wie heißt die Hauptstadt Italiens?",
)
