"""What is measured: experiments with their configurations, their results as data, and the pages made of these."""
