"""Fuzzing of every file format that cgru reads.

`formats` has the table: what a format's files are called, how a good one is changed, and all doors that read it.
`doors` says what must hold of each; `mutations`, `containers` and `libraries` change files inside of what would refuse
them at once; `search` goes on for some seconds, in pytest; `run` does it in processes of their own, guided by coverage.
"""
