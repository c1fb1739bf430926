/** The style sheet of the HTML report: light and dark, narrow and wide, screen and paper. */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1a2230; --soft: #566174; --line: #dbe0e8;
  --accent: #2f5fd0; --good: #1d7f4b; --warn: #9a6400; --bad: #c02b2b;
  --good-back: #e2f4ea; --bad-back: #fbe4e4; --warn-back: #fbf0d9;
  --whole: #bcd2fb; --whole-line: #3f6fd8; --tile: #dccbf8; --tile-line: #7d4fd1;
  --state: #f6c9d8; --state-line: #b03a68;
  --input: #bfe8e4; --input-line: #16827a; --output: #ffd9b0; --output-line: #b56a12;
  --scratch: #dde1e7; --scratch-line: #7b8698; --band: #eef1f6;
  --c-code: #2f5fd0; --c-encoder: #7d4fd1; --c-embedding: #16827a; --c-tokenizer: #d18a1f;
  --c-constraint: #b03a68; --c-other: #8a94a6; --c-arena: #2f5fd0; --c-static: #16827a; --c-stack: #d18a1f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10141b; --card: #181e28; --ink: #e6eaf1; --soft: #9aa6b8; --line: #2c3543;
    --accent: #7fa6ff; --good: #5fd39a; --warn: #f0b95a; --bad: #ff8080;
    --good-back: #16352a; --bad-back: #421d20; --warn-back: #3b2d12;
    --whole: #26427f; --whole-line: #7fa6ff; --tile: #46307a; --tile-line: #b596f5;
    --state: #5c2340; --state-line: #f08db4;
    --input: #174f4b; --input-line: #5fc9bf; --output: #5e3c14; --output-line: #f0b060;
    --scratch: #39424f; --scratch-line: #8e9aad; --band: #1e2531;
    --c-code: #7fa6ff; --c-encoder: #b596f5; --c-embedding: #4dbfb4; --c-tokenizer: #f0b95a;
    --c-constraint: #f08db4; --c-other: #8a94a6; --c-arena: #7fa6ff; --c-static: #4dbfb4; --c-stack: #f0b95a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; overflow-wrap: break-word; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main, header { max-width: 1180px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 28px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.08rem; margin: 0 0 12px; }
p { margin: 0 0 10px; }
.soft, small { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 18px 20px; margin: 16px 0; }
.badge { display: inline-block; border-radius: 99px; padding: 1px 12px; font-size: .85rem;
  font-weight: 600; white-space: nowrap; vertical-align: middle; }
.fits { color: var(--good); background: var(--good-back); }
.short { color: var(--bad); background: var(--bad-back); }
.tight { color: var(--warn); background: var(--warn-back); }
.figures { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr));
  margin: 18px 0 0; padding: 0; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 12px 16px; }
.figures dt { color: var(--soft); font-size: .82rem; }
.figures dd { margin: 0; font-size: 1.3rem; font-weight: 650; line-height: 1.3; }
.figures small { display: block; font-size: .78rem; font-weight: 400; line-height: 1.35; }
.columns { margin-top: 16px; display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); }
.columns section { margin: 0; min-width: 0; }
/* Cards of unlike heights, packed. */
.cards { columns: 2 420px; column-gap: 16px; }
.cards section { margin: 0 0 16px; break-inside: avoid; }
.region { margin-bottom: 14px; }
.region:last-child { margin-bottom: 0; }
.region p:last-child { margin-top: 5px; }
.region p { display: flex; flex-wrap: wrap; gap: 2px 10px; align-items: baseline; margin: 0 0 4px; }
.region .push { margin-left: auto; }
svg { display: block; width: 100%; }
svg text { fill: var(--ink); font: 11px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
svg .small { fill: var(--soft); font-size: 10.5px; }
.gauge { height: 14px; border-radius: 7px; }
.gauge .back { fill: var(--line); }
.gauge .used { fill: var(--accent); }
.gauge.tight .used { fill: var(--warn); }
.gauge.short .used { fill: var(--bad); }
.gauge .end { stroke: var(--card); stroke-width: 2; }
.gauge, .gauge.fits, .gauge.short, .gauge.tight { background: none; }
.stack-bar { height: 26px; border-radius: 7px; margin-bottom: 10px; }
table + .stack-bar { margin-top: 22px; }
.p-code { fill: var(--c-code); } .p-encoder { fill: var(--c-encoder); }
.p-embedding { fill: var(--c-embedding); } .p-tokenizer { fill: var(--c-tokenizer); }
.p-constraint { fill: var(--c-constraint); }
.p-other { fill: var(--c-other); } .p-arena { fill: var(--c-arena); }
.p-static { fill: var(--c-static); } .p-stack { fill: var(--c-stack); }
.key { display: inline-block; width: 11px; height: 11px; margin-right: 8px; border-radius: 3px; vertical-align: -1px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; text-align: left; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th { font-size: .82rem; font-weight: 600; color: var(--soft); }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.name { overflow-wrap: anywhere; min-width: 210px; }
td.bar { width: 14%; min-width: 90px; }
th.bar { text-align: left; }
th button { all: unset; cursor: pointer; color: inherit; font: inherit; }
th button:hover, th[aria-sort] { color: var(--accent); }
th button:focus-visible, .buffer:focus-visible rect, .scroll:focus-visible, input:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
tfoot td { font-weight: 600; border-top: 2px solid var(--line); }
.share { height: 10px; }
.share rect { fill: var(--accent); }
.scroll { overflow-x: auto; }
.arena { min-width: 860px; }
.arena .even { fill: none; } .arena .odd { fill: var(--band); }
.arena .grid { stroke: var(--line); stroke-width: 1; }
.arena .peak-call { fill: var(--warn); opacity: .13; }
.buffer rect { stroke-width: 1; cursor: default; }
.buffer .whole { fill: var(--whole); stroke: var(--whole-line); }
.buffer .state { fill: var(--state); stroke: var(--state-line); }
.buffer .tile { fill: var(--tile); stroke: var(--tile-line); }
.buffer .input { fill: var(--input); stroke: var(--input-line); }
.buffer .output { fill: var(--output); stroke: var(--output-line); }
.buffer .scratch { fill: var(--scratch); stroke: var(--scratch-line); }
.label { pointer-events: none; }
.buffer:hover rect, .buffer:focus rect { stroke-width: 2.5; }
.shared { pointer-events: none; }
.hatch { fill: var(--ink); opacity: .17; }
.peak { stroke: var(--accent); stroke-width: 1.5; stroke-dasharray: 5 4; }
svg .peak-text { fill: var(--accent); font-weight: 600; }
line.limit { stroke: var(--soft); stroke-width: 1.5; }
svg text.limit { fill: var(--soft); }
line.over { stroke: var(--bad); }
svg text.over { fill: var(--bad); font-weight: 600; }
.call .column { fill: transparent; }
.call:hover .column { fill: var(--band); }
.call .live { fill: var(--scratch-line); opacity: .65; }
.call .at-peak { fill: var(--warn); opacity: 1; }
.front { min-width: 720px; }
.front .grid { stroke: var(--line); stroke-width: 1; }
.front .axes { fill: none; stroke: var(--soft); stroke-width: 1; }
.front .steps { fill: none; stroke: var(--accent); stroke-width: 1.5; opacity: .55; }
.front .beyond { fill: var(--bad); opacity: .07; }
.plan circle { fill: var(--card); stroke: var(--accent); stroke-width: 2; }
.plan.out circle { stroke: var(--bad); }
.plan.chosen circle { fill: var(--accent); }
.plan:hover circle, .plan:focus-visible circle { stroke-width: 4; }
svg .chosen-text { fill: var(--accent); font-weight: 600; }
tr.chosen td { color: var(--accent); font-weight: 600; }
details summary { cursor: pointer; color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 10px; padding: 0; list-style: none; font-size: .85rem; }
.k-whole { background: var(--whole); border: 1px solid var(--whole-line); }
.k-state { background: var(--state); border: 1px solid var(--state-line); }
.k-tile { background: var(--tile); border: 1px solid var(--tile-line); }
.k-input { background: var(--input); border: 1px solid var(--input-line); }
.k-output { background: var(--output); border: 1px solid var(--output-line); }
.k-scratch { background: var(--scratch); border: 1px solid var(--scratch-line); }
.k-shared { border: 1px solid var(--soft); background: repeating-linear-gradient(45deg, var(--soft) 0 2px, transparent 2px 5px); }
.probe { min-height: 1.5em; margin: 8px 0 0; font-size: .88rem; color: var(--soft); overflow-wrap: anywhere; }
.filter { font: inherit; color: inherit; background: var(--page); border: 1px solid var(--line);
  border-radius: 8px; padding: 4px 10px; margin-bottom: 8px; width: min(320px, 100%); }
.card { display: grid; grid-template-columns: minmax(110px, max-content) 1fr; gap: 4px 18px; margin: 0; }
.card dt { color: var(--soft); }
.card dd { margin: 0; overflow-wrap: anywhere; }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
footer { max-width: 1180px; margin: 0 auto; padding: 4px 20px 32px; color: var(--soft); font-size: .85rem; }
@media (max-width: 560px) {
  main, header, footer { padding-left: 12px; padding-right: 12px; }
  section { padding: 14px; }
  .figures { grid-template-columns: 1fr 1fr; }
  .figures dd { font-size: 1.1rem; }
  .card { grid-template-columns: 1fr; gap: 0; }
  .card dd { margin-bottom: 8px; }
  .layers td.shape, .layers th.shape, .layers td.kernel, .layers th.kernel { display: none; }
}
@media print {
  :root { --page: #fff; }
  body { font-size: 11px; }
  section, .figures div { break-inside: avoid; }
  .layers { break-inside: auto; }
  .arena { min-width: 0; }
  .filter, .probe { display: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
