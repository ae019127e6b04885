import { describeHostileFiles } from './hostile-files.js';

/** In parts: SPARSELAW_TEST_COUNT files of a format of weight 1, from SPARSELAW_TEST_SEED on; totals add up. */
const { SPARSELAW_TEST_COUNT: count = '7000', SPARSELAW_TEST_SEED: seed = String(Date.now() % 2 ** 31) } =
  process.env;
describeHostileFiles(Number(count), Number(seed), true);
