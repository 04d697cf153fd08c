"""Jobs and files behind OpenAI's fine-tuning API: one process without torch, which starts those that need it."""
