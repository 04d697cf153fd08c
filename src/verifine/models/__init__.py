import logging

# peft imports bitsandbytes where it is installed, which then warns of a product that it would download; none is used.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
