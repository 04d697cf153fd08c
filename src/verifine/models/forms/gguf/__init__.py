"""A whole model in one GGUF file, as llama.cpp reads it.

The names, the order of rows and the metadata are those of llama.cpp's own converter (ggml-org/llama.cpp, conversion/);
the tables of names are in the package `gguf`, which comes from the same project.
"""
