"""Writes fixtures/corpus/tokenizer.json (a small byte-level BPE with Llama 3's word pattern, a BOS, padding and
truncation) and fixtures/corpus/tokenizer-ids.json (texts and their ids), for test/corpus/tokenizer.test.ts.

python scripts/goldens/tokenizer.py fixtures/tinybooks.valid.txt fixtures/corpus   (tokenizers)
"""

import json
import sys

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

source, folder = sys.argv[1:]
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
)
tokenizer.decoder = decoders.ByteLevel()
tokenizer.train(
    [source],
    trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|begin_of_text|>", "<|end_of_text|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    ),
)
tokenizer.post_processor = processors.TemplateProcessing(
    single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]
)
texts = [
    "Hello, world!\n\nIt's 12345 o'clock.  Two  spaces, a tab\tand the end. ",
    "naïve café — “quoted” 漢字かな交じり文 👩‍👩‍👧 \u0301combining",
    "before<|end_of_text|>after <|begin_of_text|> done",
    "  leading\r\nCRLF\r\n\r\n   indented(x){y}\n",
    "a" * 300 + " " + "1" * 20,
]
ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
tokenizer.enable_truncation(16)
tokenizer.enable_padding(length=64, pad_id=1, pad_token="<|end_of_text|>")
tokenizer.save(f"{folder}/tokenizer.json", pretty=False)
with open(f"{folder}/tokenizer-ids.json", "w") as file:
    json.dump({"texts": texts, "ids": ids}, file)
    file.write("\n")
