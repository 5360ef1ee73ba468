"""Foreign files, read with distrust: a declared size is believed only where the file's own size supports it.

`files` reads zip archives, .npy, .npz and .safetensors; `trees` finds one network in nested parameters; `child` runs
libraries that a damaged file can hang or crash in a process of their own.
"""
