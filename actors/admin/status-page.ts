// The status page: one self-contained HTML document that asks /status every second and draws what it gets. It holds no
// list of fields: tables come from the JSON, and a name's ending tells how to show its value (see contract.ts). Text is
// only ever set as text, so no partition key or error message can become markup; the policy forbids anything else.

import { createHash } from 'node:crypto';
import { statusScript } from './status-script.ts';
import { statusStyle } from './status-style.ts';

const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sluice</title>
<style>${statusStyle}</style>
</head>
<body>
<header>
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    <path d="M4 8h24M4 24h24" /><path class="flow" d="M4 16h7c5 0 5-5 10-5h7M11 16c5 0 5 5 10 5h7" />
  </svg>
  <h1>Sluice</h1>
  <p id="state" class="state" role="status">connecting</p>
  <p id="about" class="quiet"></p>
</header>
<main>
  <section id="reasons" class="reasons" hidden></section>
  <section id="tiles" class="tiles" aria-label="Ledger"></section>
  <div id="tables"></div>
  <noscript>This page needs JavaScript; <a href="/status">/status</a> has the same as JSON.</noscript>
</main>
<footer class="quiet"><a href="/status">status</a> <a href="/metrics">metrics</a> <a href="/readyz">readiness</a></footer>
<script>${statusScript}</script>
</body>
</html>
`;

export const statusPage = Object.freeze({
  html,
  headers: Object.freeze({
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': [
      "default-src 'none'",
      `script-src '${digest(statusScript)}'`,
      `style-src '${digest(statusStyle)}'`,
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'Referrer-Policy': 'no-referrer',
  }),
});

function digest(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
