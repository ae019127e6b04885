import { expect, it } from 'vitest';
import { emptyRow, type TableRow } from '../../src/files/table.js';
import { buildModel } from '../../src/report/model.js';

const namesOf = (groups: Record<string, string>[], rows: Partial<TableRow>[] = [], path = 'fit.json') => {
  const fits = groups.map((group) => ({ group, law: 'log' }));
  const file = { table: { sha256: 'a' }, x: 'n_layer', y: 'activation_ratio', fits, comparison: [] };
  const known = rows.map((row) => ({ known: { ...emptyRow(), ...row }, cells: {} }));
  const model = buildModel('', {
    fits: [{ path, sha256: 'b', file }],
    tables: [{ path: 'table.csv', sha256: 'a', columns: ['run_id'], rows: known }],
    ...{ runs: [], evaluations: [], profiles: [], notes: [] },
  } as never);
  return model.fits.map(({ name }) => name);
};
const each = (column: string, ...values: string[]) =>
  namesOf(values.map((value) => ({ activation: 'relu', [column]: value })));

it('tells a tolerance by the metric, where the rows say it', () => {
  const groups = [
    { activation: 'relu', p_percent: '1' },
    { activation: 'relu', p_percent: '5' },
  ];
  expect(namesOf(groups)).toEqual(['p = 1%', 'p = 5%']);
  expect(namesOf(groups, [{ metric: 'pplp', p_percent: 5 }, { metric: 'zero' }])).toEqual([
    'PPL-1%',
    'PPL-5%',
  ]);
  expect(
    namesOf([
      { metric: 'zero', protocol: 'dataset' },
      { metric: 'pplp', p_percent: '5', protocol: 'dataset' },
      { metric: 'pplp', p_percent: '5', protocol: 'dataset', shared_cett: 'last:5' },
    ]),
  ).toEqual(['exact zeros', 'PPL-5%', 'PPL-5% (shared bound last 5)']);
});

it('tells own and shared bounds, and their numbers where they differ', () => {
  expect(each('shared_cett', '', 'last:5')).toEqual(['own bound', 'shared bound']);
  expect(namesOf([{ activation: 'relu' }, { activation: 'relu', shared_cett: 'last:5' }])).toEqual([
    'own bound',
    'shared bound',
  ]);
  expect(each('shared_cett', 'last:3', 'last:5')).toEqual(['shared bound last 3', 'shared bound last 5']);
});

it('says the column of a number, and no column of a word', () => {
  expect(each('k_ratio', '0.1', '0.2')).toEqual(['top-k 10.0%', 'top-k 20.0%']);
  expect(each('epsilon', '0.1', '0.2')).toEqual(['ε = 0.1', 'ε = 0.2']);
  expect(each('cett', '0.1', '0.2')).toEqual(['CETT 0.1', 'CETT 0.2']);
  expect(each('n_layer', '5', '16')).toEqual(['5 layers', '16 layers']);
  expect(each('tokens_evaluated', '262144', '1048576')).toEqual([
    '262k tokens evaluated',
    '1.05M tokens evaluated',
  ]);
  expect(each('learning_rate', '0.01', '0.02')).toEqual(['learning rate 0.01', 'learning rate 0.02']);
  expect(each('gated', 'true', 'false')).toEqual(['gated', 'not gated']);
  expect(each('scale', '0.1B', '0.2B')).toEqual(['0.1B', '0.2B']);
});

it('rounds no two into one', () => {
  expect(each('tokens', '190021632', '190021633')).toEqual(['tokens 190021632', 'tokens 190021633']);
});

it('calls a series that nothing tells apart by its activation, and by its file only without one', () => {
  expect(namesOf([{ activation: 'silu' }])).toEqual(['silu']);
  expect(namesOf([{}], [{ activation: 'relu' }])).toEqual(['relu']);
  expect(namesOf([{}], [{ activation: 'relu' }, { activation: 'silu' }], 'both.json')).toEqual(['both']);
});
