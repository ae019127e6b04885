import type { Tokenizer } from '../corpus/tokenizer.js';
import { inputError } from '../errors.js';
import { requireKnown } from '../sparsity/text.js';
import type { Sequence } from './scorer.js';
import type { Task } from './tasks.js';

export interface RequestOptions {
  /** Id put before each text; undefined for none. */
  bosId?: number;
  /** Longest input in tokens. */
  maxLength: number;
  vocabSize: number;
}

export interface Requests {
  /** In order of items and answers. */
  sequences: Sequence[];
  /** Items whose context lost its beginning. */
  truncated: number;
}

/**
 * Encodes every (context, answer) of a task. As in lm-evaluation-harness, both are encoded together and the
 * answer is what follows as many tokens as the context has alone, blanks at the context's end counted to it.
 * @throws SparselawError (status 3) naming the line of an answer that has no tokens or is too long
 */
export async function requestsOf(
  task: Task,
  tokenizer: Tokenizer,
  options: RequestOptions,
): Promise<Requests> {
  const { bosId, maxLength, vocabSize } = options;
  const pairs = task.items.flatMap((item) =>
    item.answers.map((answer) => {
      const context = item.context.trimEnd();
      return { item, context, whole: item.context + answer };
    }),
  );
  // A context serves all answers of its item.
  const contexts = [...new Set(pairs.map(({ context }) => context))];
  const encoded = await tokenizer.encodeBatch(contexts);
  const contextLength = new Map(contexts.map((text, i) => [text, encoded[i]!.length]));
  const wholes = await tokenizer.encodeBatch(pairs.map(({ whole }) => whole));
  const cutLines = new Set<number>();
  const sequences = pairs.map(({ item, context }, i): Sequence => {
    const where = `${task.path}, line ${item.line}`;
    const ids = Int32Array.from(wholes[i]!);
    requireKnown(ids, vocabSize, `${where} gives`);
    const answer = ids.length - contextLength.get(context)!;
    if (answer < 1) {
      throw inputError(`${where}: the tokenizer merges an answer into its context, so it has no tokens.`, {
        code: 'empty-answer',
      });
    }
    if (answer > maxLength) {
      throw inputError(`${where}: an answer has ${answer} tokens, but the model reads ${maxLength}.`, {
        code: 'answer-too-long',
        suggestions: ['Leave the item out.'],
      });
    }
    const full = bosId === undefined || ids[0] === bosId ? ids : Int32Array.from([bosId, ...ids]);
    if (full.length === answer) {
      throw inputError(`${where}: the context has no tokens.`, { code: 'empty-context' });
    }
    // The last id is predicted, never read.
    if (full.length - 1 > maxLength) cutLines.add(item.line);
    return { ids: full.slice(-(maxLength + 1)), answer };
  });
  return { sequences, truncated: cutLines.size };
}
