// Our logits of a checkpoint of ours, as JSON on stdout, on tokens that check_transformers.py chooses alike.
//
//   npm run build && node scripts/goldens/logits.mjs RUN/checkpoints/TOKENS > ours.json
import * as tf from '@tensorflow/tfjs-core';
import { readCheckpointParameters } from '../../dist/src/checkpoint/read.js';
import { openWasm } from '../../dist/src/engine/wasm.js';
import { forward } from '../../dist/src/model/transformer.js';

const LENGTH = 24;

await openWasm({});
const { shape, parameters } = await readCheckpointParameters(process.argv[2]);
const tensors = [...parameters].map(([name, { shape: dims, data }]) => [name, tf.tensor(data, dims)]);
const tokens = Array.from({ length: LENGTH }, (_, i) => (i * i + 7 * i) % shape.vocabSize);
const ids = tf.tensor2d([tokens], [1, LENGTH], 'int32');
const logits = forward(shape, Object.fromEntries(tensors), ids);
process.stdout.write(`${JSON.stringify({ tokens, logits: await logits.array() })}\n`);
