import type { MetricName } from '../../files/sparsity.js';
import { cett } from './cett.js';
import { fat } from './fat.js';
import { global } from './global.js';
import type { Metric } from './metric.js';
import { pplp } from './pplp.js';
import { topk } from './topk.js';
import { zero } from './zero.js';

export type { Metric, MetricParameters, Outcome, Setting } from './metric.js';

/** Every metric by name; a new one is a file, a name in files/sparsity.ts and a line here. */
export const METRICS: Readonly<Record<MetricName, Metric>> = { zero, fat, topk, global, cett, pplp };
