// Every kind through the official JavaScript client. Reads {namespace, kubeconfig, samples} from the file given, and
// prints one JSON line a test.
import fs from 'node:fs';
import {createRequire} from 'node:module';

const {namespace, kubeconfig, samples, modules} = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const k8s = createRequire(modules + '/')('@kubernetes/client-node');

const config = new k8s.KubeConfig();
config.loadFromFile(kubeconfig);
const client = k8s.KubernetesObjectApi.makeApiClient(config);

function need(condition, text) {
  if (!condition) throw new Error(text);
}

function pointer(body, path) {
  return path.split('/').slice(1).reduce((at, step) => (at === undefined || at === null ? at : at[step]), body);
}

async function refused(code, call) {
  try {
    await call();
  } catch (error) {
    const status = error.code ?? error.statusCode;
    need(status === code, `${code} expected, got ${status}: ${error.body ?? error}`);
    return;
  }
  need(false, `${code} expected, but it went well`);
}

// client-node before 1.0 answers {body}, later ones the object itself.
const body = (answer) => answer?.body?.kind ? answer.body : answer;

// Reads, changes and writes; again when a controller wrote in between.
async function unlessConflict(change) {
  for (let left = 5; ; left--) {
    try {
      return await change();
    } catch (error) {
      if (left === 0 || (error.code ?? error.statusCode) !== 409) throw error;
    }
  }
}

async function watch(sample, path) {
  const watcher = new k8s.Watch(config);
  return new Promise((resolve, reject) => {
    const seen = [];
    const timer = setTimeout(() => reject(new Error(`no event; seen ${seen}`)), 15000);
    watcher.watch(path, {fieldSelector: `metadata.name=${sample.body.metadata.name}`}, (type) => {
      seen.push(type);
      clearTimeout(timer);
      resolve(seen);
    }, (error) => (seen.length ? undefined : reject(error ?? new Error('the watch ended')))).then((handle) => {
      const stop = setInterval(() => {
        if (seen.length) {
          clearInterval(stop);
          (handle.abort ?? handle.destroy).call(handle);
        }
      }, 20);
    });
  });
}

async function lifecycle(sample) {
  const wanted = structuredClone(sample.body);
  const resource = await client.resource(wanted.apiVersion, wanted.kind);
  if (resource.namespaced) wanted.metadata.namespace = namespace;
  const made = body(await client.create(structuredClone(wanted)));
  need(made.metadata.uid, 'no uid');
  await refused(409, () => client.create(structuredClone(wanted)));
  const got = body(await client.read(structuredClone(wanted)));
  need(got.kind === wanted.kind && got.metadata.uid === made.metadata.uid, JSON.stringify(got));
  const merge = structuredClone(sample.merge);
  const head = {apiVersion: wanted.apiVersion, kind: wanted.kind};
  const metadata = {name: wanted.metadata.name, namespace: wanted.metadata.namespace};
  const change = {...merge, ...head, metadata: {...(merge.metadata ?? {}), ...metadata}};
  await client.patch(change, undefined, undefined, undefined, undefined, 'application/merge-patch+json');
  let now = body(await client.read(structuredClone(wanted)));
  need(JSON.stringify(pointer(plain(now), sample.pointer)) === JSON.stringify(sample.value), 'the patch changed nothing');
  const replaced = await unlessConflict(async () => {
    now = body(await client.read(structuredClone(wanted)));
    now.metadata.labels = {...(now.metadata.labels ?? {}), js: 'yes'};
    return body(await client.replace(now));
  });
  need(replaced.metadata.labels.js === 'yes', 'replace');
  const listed = await client.list(wanted.apiVersion, wanted.kind, wanted.metadata.namespace, undefined, undefined,
    undefined, undefined, 'js=yes');
  const items = listed.items ?? listed.body.items;
  need(items.length === 1, `${items.length} items`);
  const root = wanted.apiVersion.includes('/') ? `/apis/${wanted.apiVersion}` : `/api/${wanted.apiVersion}`;
  const inside = resource.namespaced ? `/namespaces/${namespace}` : '';
  const seen = await watch(sample, `${root}${inside}/${resource.name}`);
  need(seen[0] === 'ADDED', String(seen));
  await client.delete(structuredClone(wanted), undefined, undefined, 0);
}

// What the client decoded into classes, as JSON again.
function plain(object) {
  return JSON.parse(JSON.stringify(object));
}

for (const sample of samples) {
  const name = `javascript.${sample.title}`;
  try {
    await lifecycle(sample);
    console.log(JSON.stringify({name, verdict: 'passed', text: ''}));
  } catch (error) {
    console.log(JSON.stringify({name, verdict: 'failed', text: String(error.stack ?? error)}));
  }
}
process.exit(0);
