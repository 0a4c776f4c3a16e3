"""The tiny teacher for every test of this wing."""

from .classroom import classroom, teacher_folder, tokenizer

__all__ = ["classroom", "teacher_folder", "tokenizer"]
