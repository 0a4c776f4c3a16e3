"""Gate a distillation: may this teacher teach, are these prompts worth asking, and can we prove it afterwards?"""

__version__ = "0.1.0"
