// The findings as text for a terminal, in the manner of the banner, and as JSON for scripts. Pure.

import type { Finding, Verdict } from './contract.ts';

const marks: Readonly<Record<Verdict, string>> = { pass: 'ok', warn: 'warn', fail: 'FAIL' };
const markWidth = 4;

export function hasFailed(findings: readonly Finding[]): boolean {
  return findings.some(({ verdict }) => verdict === 'fail');
}

export function reportText(version: string, findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const indent = ' '.repeat(2 + markWidth + 2 + width + 2);
  const lines = findings.flatMap(({ name, verdict, found, fix }) => [
    `  ${marks[verdict].padEnd(markWidth)}  ${name.padEnd(width)}  ${found}`,
    ...(fix === '' ? [] : [`${indent}${fix}`]),
  ]);
  const count = (verdict: Verdict): number => findings.filter((finding) => finding.verdict === verdict).length;
  const verdict = hasFailed(findings)
    ? `${count('fail')} of ${findings.length} checks failed. Mend what is marked FAIL, then look again.`
    : count('warn') > 0
      ? `Sluice can start; ${count('warn')} of ${findings.length} checks could be better.`
      : `All ${findings.length} checks passed.`;
  return ['', `Sluice ${version}: what a start needs`, '', ...lines, '', verdict, '', ''].join('\n');
}

export function reportJson(version: string, findings: readonly Finding[]): string {
  return `${JSON.stringify({ version, ok: !hasFailed(findings), findings }, undefined, 2)}\n`;
}
