"""One model, or several, behind OpenAI's chat completions and completions."""
