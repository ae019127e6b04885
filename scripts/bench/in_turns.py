"""Blocks of steps in one go, or one for each line of standard input, as turns.mjs asks for them."""

import json
import sys


def turns(args):
    if not args.in_turns:
        yield from range(args.blocks)
        return
    print(json.dumps({"ready": True}), flush=True)
    for number, _ in enumerate(sys.stdin):
        yield number
