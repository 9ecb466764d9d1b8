// The bundle for whoever helps: nothing secret is in it, and any tar can open it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { tarGzip } from '../../actors/bundle-archive.ts';
import { settingsSchema } from '../../actors/config.ts';
import { redactedSettings } from '../../actors/debug-bundle-command.ts';
import { describeConfig, loadConfig } from '../../runtime/index.ts';

test('no value of a secret setting, and no password of a URL, is in the settings of a bundle', () => {
  const secrets = describeConfig(settingsSchema).filter(({ secret, type }) => secret && type === 'text');
  assert.ok(secrets.length > 5);
  const flags = secrets.map(({ flag, path }) => {
    return `${flag}=${path === 'postgres.url' ? 'postgres' : 'https'}://user:s3cret@host`;
  });
  const own = ['--reporting.url=https://user:s3cret@reports', '--router.slots=77'];
  const loaded = loadConfig(settingsSchema, { environment: {}, flags: [...flags, ...own] });
  const settings = loaded.ok ? loaded.settings : assert.fail(JSON.stringify(loaded.faults));
  const redacted = redactedSettings(settings);
  assert.ok(!JSON.stringify(redacted).includes('s3cret'));
  assert.equal(redacted['reporting.url'], 'https://(hidden)@reports');
  assert.equal(redacted['router.slots'], 77);
  assert.equal(redacted['admin.token'], '(hidden)');
});

test('a bundle is a tar: names, sizes, sums and contents are where they belong', () => {
  const texts = ['', 'x', 'é'.repeat(600)];
  const tar = gunzipSync(
    tarGzip(
      texts.map((text, index) => ({ name: `file-${index}.txt`, text })),
      1_000,
    ),
  );
  let at = 0;
  for (const [index, text] of texts.entries()) {
    const header = Buffer.from(tar.subarray(at, at + 512));
    assert.equal(header.toString('ascii', 0, 10), `file-${index}.txt`);
    assert.equal(header.toString('ascii', 257, 262), 'ustar');
    const bytes = Number.parseInt(header.toString('ascii', 124, 135), 8);
    const sum = Number.parseInt(header.toString('ascii', 148, 154), 8);
    assert.equal(
      header.fill(' ', 148, 156).reduce((all, byte) => all + byte, 0),
      sum,
    );
    assert.equal(tar.subarray(at + 512, at + 512 + bytes).toString(), text);
    at += 512 + Math.ceil(bytes / 512) * 512;
  }
  assert.equal(tar.byteLength, at + 1_024);
});
