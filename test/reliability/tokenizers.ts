/** Small tokenizer.json of the makes that are published: what the native library meets beside ours. */
const added = (...names: string[]) =>
  names.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
const WORDS = ['a', 'b', 'c', '▁', '▁a', '▁b', '##a', 'it', 'was', 'cold', 'day', 'day</w>'];
const BYTES = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);
const vocab = (names: readonly string[]) => Object.fromEntries(names.map((name, id) => [name, id]));
const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };

/** SentencePiece's BPE as Llama 2 has it. */
const llama2 = {
  added_tokens: added('<unk>', '<s>', '</s>'),
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: '<unk>',
    continuing_subword_prefix: '##',
    end_of_word_suffix: '</w>',
    fuse_unk: true,
    byte_fallback: true,
    vocab: vocab(['<unk>', '<s>', '</s>', ...BYTES, ...WORDS]),
    merges: ['▁ a', '▁ b'],
  },
};

/** WordPiece as BERT has it. */
const bert = {
  added_tokens: added('[PAD]', '[UNK]', '[CLS]', '[SEP]'),
  normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: vocab(['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...WORDS]),
  },
};

/** Unigram as T5 has it, with every other part that the library knows. */
const t5 = {
  added_tokens: added('<pad>', '</s>', '<unk>'),
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Precompiled', precompiled_charsmap: 'AAAA' },
      { type: 'NFKC' },
      { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
      { type: 'Strip', strip_left: true, strip_right: true },
      { type: 'StripAccents' },
      { type: 'Lowercase' },
      { type: 'Nmt' },
    ],
  },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'WhitespaceSplit' },
      metaspace,
      { type: 'Punctuation', behavior: 'Isolated' },
      { type: 'Digits', individual_digits: true },
      { type: 'FixedLength', length: 3 },
    ],
  },
  post_processor: {
    type: 'RobertaProcessing',
    sep: ['</s>', 1],
    cls: ['<pad>', 0],
    trim_offsets: true,
    add_prefix_space: false,
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      metaspace,
      { type: 'BPEDecoder', suffix: '</w>' },
      { type: 'CTC', pad_token: '<pad>', word_delimiter_token: '|', cleanup: true },
    ],
  },
  model: {
    type: 'Unigram',
    unk_id: 2,
    byte_fallback: true,
    vocab: [
      ...['<pad>', '</s>', '<unk>'].map((name) => [name, 0]),
      ...WORDS.map((name, i) => [name, -2 - i]),
    ],
  },
};

export const OTHER_TOKENIZERS: readonly object[] = [llama2, bert, t5].map((json) => ({
  version: '1.0',
  truncation: null,
  padding: null,
  ...json,
}));
