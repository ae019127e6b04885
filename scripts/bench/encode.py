"""The peer of `corpus build --tokenizer`: Python tokenizers on the same text in pieces of the same size.

time python scripts/bench/encode.py corpus/tokenizer.json text.txt   (tokenizers)
"""

import sys

from tokenizers import Tokenizer

PIECE, BATCH = 20_000, 16
tokenizer = Tokenizer.from_file(sys.argv[1])
with open(sys.argv[2], encoding="utf8") as file:
    documents = file.read().split("<|endoftext|>\n")
pieces = []
for text in documents:
    start = 0
    while start < len(text):
        end = text.find(" ", start + PIECE)
        end = len(text) if end < 0 else end
        pieces.append(text[start:end])
        start = end
count = 0
for first in range(0, len(pieces), BATCH):
    batch = tokenizer.encode_batch(pieces[first : first + BATCH], add_special_tokens=False)
    count += sum(len(encoding.ids) for encoding in batch)
print(count)
