// Style of the status page. Colours are named once for light and once for dark; numbers stand in columns that do not
// jump when their digits change.

export const statusStyle = `
:root {
  --ground: #f7f8f8; --card: #ffffff; --ink: #16211f; --quiet: #64716e; --line: #e2e7e6;
  --flow: #0d7f74; --flow-soft: #d5ebe8; --warn: #a85b00; --warn-soft: #fbeedb; --bad: #b3261e; --bad-soft: #fbe4e2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1514; --card: #161e1d; --ink: #e5edeb; --quiet: #8b9a97; --line: #263230;
    --flow: #4fc3b5; --flow-soft: #17332f; --warn: #f0ab54; --warn-soft: #352713; --bad: #ff8a80; --bad-soft: #3a1a18;
  }
}
* { box-sizing: border-box; margin: 0; }
body {
  background: var(--ground); color: var(--ink); padding: 0 clamp(1rem, 4vw, 3rem) 2rem;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; font-variant-numeric: tabular-nums;
}
header { display: flex; flex-wrap: wrap; align-items: center; gap: .75rem; padding: 1.5rem 0 1rem; }
h1 { font-size: 1.3rem; font-weight: 650; letter-spacing: -.01em; }
h2 { font-size: .95rem; font-weight: 600; margin: 1.75rem 0 .5rem; }
h2 span { color: var(--quiet); font-weight: 400; margin-left: .4rem; }
.mark { width: 2rem; height: 2rem; fill: none; stroke: var(--line); stroke-width: 2.5; stroke-linecap: round; }
.mark .flow { stroke: var(--flow); }
.quiet, .quiet a { color: var(--quiet); }
.state { border-radius: 99px; padding: .1rem .7rem; font-weight: 600; background: var(--line); color: var(--quiet); }
.state.ready { background: var(--flow-soft); color: var(--flow); }
.state.waiting { background: var(--warn-soft); color: var(--warn); }
.state.lost { background: var(--bad-soft); color: var(--bad); }
.reasons { background: var(--warn-soft); color: var(--warn); border-radius: .6rem; padding: .75rem 1rem; margin-bottom: 1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .75rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .75rem 1rem .6rem; }
.tile .name { color: var(--quiet); font-size: .85rem; }
.tile .value { font-size: 1.55rem; font-weight: 620; letter-spacing: -.02em; line-height: 1.3; }
.tile .rate { color: var(--flow); font-size: .85rem; min-height: 1.3em; }
.tile svg { display: block; width: 100%; height: 1.6rem; margin-top: .25rem; overflow: visible; }
.tile polyline { fill: none; stroke: var(--flow); stroke-width: 1.5; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.frame { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem 1rem; white-space: nowrap; }
th { color: var(--quiet); font-weight: 500; font-size: .85rem; border-bottom: 1px solid var(--line); }
tr + tr td { border-top: 1px solid var(--line); }
td.number, th.number { text-align: right; }
td.wide { white-space: normal; min-width: 18rem; overflow-wrap: anywhere; }
td.high { color: var(--warn); font-weight: 600; }
footer { margin-top: 2rem; display: flex; gap: 1rem; }
a:focus-visible { outline: 2px solid var(--flow); outline-offset: 2px; border-radius: 2px; }
body.stale main { opacity: .45; }
`;
