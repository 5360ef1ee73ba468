"""``cgru self-test``: does this machine compute what it should? Exit status 0: yes, 1: no.

A small fixed run of every cell and of a network, on every instruction set that this machine can run, against published
hashes.
"""

import cgru


def add_arguments(parser):
    pass


def main(args):
    if not cgru.self_test():
        raise SystemExit(1)
