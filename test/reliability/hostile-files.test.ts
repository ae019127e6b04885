import { describeHostileFiles } from './hostile-files.js';

/** A few of each on every run; the long form reads more than a hundred thousand. */
describeHostileFiles(40, 1);
