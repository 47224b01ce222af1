"""Fine-tunes GPT-2 on job descriptions and proves what it learned."""
