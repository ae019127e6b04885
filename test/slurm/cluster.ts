import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Why Slurm cannot be started here; undefined where it can. */
export async function slurmLacks(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'Slurm is started as root here';
  for (const program of ['munged', 'slurmctld', 'slurmd', 'sbatch']) {
    const found = await execute('which', [program]).catch(() => undefined);
    if (!found) return `${program} is missing: apt-get install -y --no-install-recommends slurm-wlm munge`;
  }
  return undefined;
}

export interface Cluster {
  /** What commands need to reach it. */
  env: NodeJS.ProcessEnv;
  /** Kills a node's daemon; what it started lives on, as on a node that lost its network. */
  killNode(name: string): void;
  stop(): Promise<void>;
}

/**
 * Slurm on this machine, without systemd: one controller, two nodes of one core each on one host, no accounting.
 * A silent node is given up after seconds, and a job that goes back into the queue starts again soon.
 */
export async function startCluster(): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'sparselaw-slurm-'));
  const inside = (name: string) => join(folder, name);
  for (const name of ['state', 'spool-n1', 'spool-n2']) await mkdir(inside(name));
  // Free ones: another run of this test may be under way on this host.
  const [controllerPort, firstPort, secondPort] = (await freePorts(3)) as [number, number, number];
  const host = hostname().split('.')[0]!;
  const node = (name: string, port: number) =>
    `NodeName=${name} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${port} CPUs=1 RealMemory=4000 State=UNKNOWN`;
  const settings = {
    ClusterName: 'test',
    SlurmctldHost: `${host}(127.0.0.1)`,
    SlurmUser: 'root',
    SlurmdUser: 'root',
    AuthType: 'auth/munge',
    AuthInfo: `socket=${inside('munge.socket')},cred_expire=5`,
    StateSaveLocation: inside('state'),
    SlurmdSpoolDir: inside('spool-%n'),
    SlurmctldPidFile: inside('slurmctld.pid'),
    SlurmdPidFile: inside('slurmd-%n.pid'),
    SlurmctldPort: controllerPort,
    ProctrackType: 'proctrack/linuxproc',
    TaskPlugin: 'task/none',
    SwitchType: 'switch/none',
    MpiDefault: 'none',
    SlurmdParameters: 'config_overrides',
    ReturnToService: 2,
    SlurmdTimeout: 6,
    KillWait: 2,
    // By default the queue is gone through once in many seconds, for the sake of large clusters.
    SchedulerParameters: 'sched_interval=1,sched_min_interval=0,batch_sched_delay=1,bf_interval=1',
    SelectType: 'select/cons_tres',
    SelectTypeParameters: 'CR_Core',
    JobAcctGatherType: 'jobacct_gather/none',
    AccountingStorageType: 'accounting_storage/none',
  };
  const lines = [
    ...Object.entries(settings).map(([key, value]) => `${key}=${value}`),
    node('n1', firstPort),
    node('n2', secondPort),
    'PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP',
  ];
  await writeFile(inside('slurm.conf'), `${lines.join('\n')}\n`);
  await writeFile(inside('munge.key'), randomBytes(1024), { mode: 0o400 });

  const env = { SLURM_CONF: inside('slurm.conf') };
  const daemons = new Map<string, ChildProcess>();
  // In the foreground each, so that its end can be waited for.
  const start = (name: string, file: string, args: string[]) => {
    const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: 'ignore' });
    daemons.set(name, child);
  };
  const stop = async () => {
    // What a failed test left behind.
    await execute('scancel', ['--user=root'], { env: { ...process.env, ...env } }).catch(() => undefined);
    for (const name of [...daemons.keys()].reverse()) {
      const child = daemons.get(name)!;
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      await Promise.race([ended, sleep(5000).then(() => child.kill('SIGKILL'))]);
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    start('munged', 'munged', [
      '--foreground',
      '--force',
      `--key-file=${inside('munge.key')}`,
      `--socket=${inside('munge.socket')}`,
      `--pid-file=${inside('munged.pid')}`,
      `--log-file=${inside('munged.log')}`,
      `--seed-file=${inside('munged.seed')}`,
    ]);
    await until(() => readFile(inside('munged.pid')).then(() => true), 'munged', inside('munged.log'));
    start('slurmctld', 'slurmctld', ['-D', '-f', inside('slurm.conf'), '-L', inside('slurmctld.log')]);
    for (const name of ['n1', 'n2']) {
      start(name, 'slurmd', [
        '-D',
        '-N',
        name,
        '-f',
        inside('slurm.conf'),
        '-L',
        inside(`slurmd-${name}.log`),
      ]);
    }
    const areIdle = async () => {
      const { stdout } = await execute('sinfo', ['-h', '-N', '-o', '%N %T'], {
        env: { ...process.env, ...env },
      });
      return ['n1 idle', 'n2 idle'].every((state) => stdout.includes(state));
    };
    await until(areIdle, 'the nodes', inside('slurmctld.log'));
  } catch (error) {
    await stop();
    throw error;
  }
  return { env, killNode: (name) => void daemons.get(name)!.kill('SIGKILL'), stop };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

async function until(ready: () => Promise<boolean>, what: string, log: string): Promise<void> {
  for (let i = 0; i < 300; i++) {
    if (await ready().catch(() => false)) return;
    await sleep(100);
  }
  const said = await readFile(log, 'utf8').catch(() => '(no log)');
  throw new Error(`${what} did not start:\n${said.slice(-2000)}`);
}
