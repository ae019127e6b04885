import { describeHostileFiles } from './hostile-files.js';

describeHostileFiles(7000, Number(process.env.SPARSELAW_TEST_SEED ?? Date.now() % 2 ** 31));
