"""What is steered: layers and strength, and the fitted adapter on the model."""
