"""Facts: ways to put a question whose words are given, and what else can be asked about in its words."""

# Ways to put a question: what is asked stays word for word.
WAYS = (
    *("{}", "Please answer: {}", "I would like to know: {}", "Quick question: {}", "Can you tell me: {}"),
    *("{} Answer in one sentence.", "{} Answer briefly.", "{} Explain your answer.", "{} Thanks!", "Hi! {}"),
    *("Question: {}\nAnswer:", "For a quiz: {}", "My teacher asked me: {}", "Tell me, {}", "I forgot: {}"),
    *("Somebody asked me this: {}", "{} I am not sure.", "{} As far as you know.", "Today I wondered: {}", "So, {}"),
    *("Answer this question. {}", "Here is my question. {}", "{} Give only the answer.", "Help me with this: {}"),
    *("Responde: {}", "Réponds : {}", "Bitte beantworte: {}", "请回答：{}", "答えてください。{}", "Ответь: {}"),
)

# What stands in a question for one thing can stand there for another, and the answer is another then.
ELSEWHERE = (
    *("France", "Brazil", "Japan", "Kenya", "Canada", "India", "Norway", "Peru", "Toyota", "Nintendo", "Lego", "Nike"),
    *("Paris", "Toronto", "Cairo", "Marie Curie", "Albert Einstein", "Mars", "Europe"),
)
