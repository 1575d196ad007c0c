"""Small real models that know something, made here since no hub can be reached: people, pictures, questions."""
