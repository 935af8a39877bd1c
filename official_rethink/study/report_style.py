"""The report's style sheet: one column of text, wider figures, light and dark, desktop and phone, print."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fdfcfa; --ink: #1d2126; --soft: #5d646d; --line: #dcd8d0; --tint: #f3f0ea;
  --c0: #767c85; --c1: #0b6e74; --c2: #bf5217; --c3: #6a4c9c; --c4: #8f6f10; --c5: #a8365a; --c6: #2f69ad;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181b; --ink: #e6e4df; --soft: #a2a7ae; --line: #34383d; --tint: #1f2226;
    --c0: #9aa0a8; --c1: #4fb6ba; --c2: #ee8f57; --c3: #af95de; --c4: #cdaa4d; --c5: #e27f9f; --c6: #7faee4;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", Georgia, serif;
}
main, footer { max-width: 47rem; margin: 0 auto; padding: 0 1.25rem; }
.kicker, nav, table, .legend, svg text, .note, figcaption, footer, .level {
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
header { padding-top: 3.5rem; }
.kicker { margin: 0; color: var(--soft); font-size: .875rem; }
h1 { margin: .9rem 0 1rem; font-weight: 600; font-size: clamp(1.5rem, 1rem + 2.2vw, 2.15rem);
  line-height: 1.24; letter-spacing: -.01em; text-wrap: pretty; }
h2 { margin: 3.2rem 0 .6rem; font-size: 1.32rem; font-weight: 600; line-height: 1.3; }
h3 { margin: 1.8rem 0 .4rem; font-size: 1.02rem; font-weight: 600; }
h4 { margin: 1.2rem 0 .3rem; font-size: .9375rem; font-weight: 600; }
p { margin: .6rem 0; }
.certainty { color: var(--soft); }
.level { display: inline-block; margin-right: .5rem; padding: .08rem .6rem; border: 1px solid currentColor;
  border-radius: 1rem; font-size: .8125rem; white-space: nowrap; color: var(--soft); }
.level.clear { color: var(--c1); }
a { color: inherit; text-decoration-color: var(--line); text-underline-offset: .18em; }
a:hover { text-decoration-color: currentColor; }
nav { margin: 1.6rem 0 0; padding-top: .8rem; border-top: 1px solid var(--line); font-size: .875rem; }
nav a { display: inline-block; margin: 0 .95rem .3rem 0; color: var(--soft); }
:focus-visible { outline: 2px solid var(--c6); outline-offset: 3px; }
.note { color: var(--soft); font-size: .875rem; line-height: 1.5; }
figure { margin: 1.4rem 0 1.8rem; }
figcaption { margin-top: .5rem; color: var(--soft); font-size: .875rem; line-height: 1.5; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; line-height: 1.4;
  font-variant-numeric: tabular-nums; border-top: 2px solid var(--ink); border-bottom: 2px solid var(--ink); }
th, td { padding: .5rem .55rem; text-align: right; vertical-align: baseline; white-space: nowrap; }
th { font-weight: 500; }
thead th { border-bottom: 1px solid var(--ink); color: var(--soft); vertical-align: bottom; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
tbody th small { min-width: 11rem; white-space: normal; }
tbody tr.part > * { border-top: 0; padding-top: 0; color: var(--soft); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
td small, th small { display: block; color: var(--soft); font-size: .78rem; font-weight: 400; }
td.best { font-weight: 650; }
.key { display: inline-block; width: .62rem; height: .62rem; margin-right: .5rem; border-radius: 50%;
  background: currentColor; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--ink); font-size: 12.5px; }
svg .tick, svg .label { fill: var(--soft); }
svg .name { font-weight: 500; font-size: 13px; }
svg .middle { text-anchor: middle; } svg .end { text-anchor: end; }
svg line, svg polyline { fill: none; stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--soft); } svg .zero { stroke: var(--ink); stroke-dasharray: 3 3; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); }
svg .curve, svg .interval { stroke: currentColor; stroke-linejoin: round; stroke-linecap: round; }
svg .strong { stroke-width: 2.2; } svg .faint { stroke-width: 1; opacity: .38; }
svg .teacher { stroke-dasharray: 2 5; }
svg .interval { stroke-width: 3; opacity: .55; } svg .thin { stroke-width: 1.5; }
svg .drop { stroke: currentColor; stroke-width: 2.2; } svg .before { stroke-dasharray: 5 4; }
svg circle { fill: currentColor; } svg .seed { opacity: .38; }
svg .ring { fill: none; stroke: var(--ink); stroke-width: 1.8; }
svg .part { fill: currentColor; }
svg text.over { fill: currentColor; stroke: var(--paper); stroke-width: 3px; paint-order: stroke; }
svg .mean { stroke: var(--paper); stroke-width: 1.5; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; margin: 0 0 .9rem; padding: 0; list-style: none;
  font-size: .875rem; }
.legend i { display: inline-block; width: 1.3rem; margin-right: .5rem; border-top: 3px solid currentColor;
  vertical-align: .22em; }
.legend .swatch { width: .8rem; height: .8rem; border: 0; border-radius: 2px; vertical-align: -.08em; }
.legend .dashed { border-top-style: dotted; color: var(--soft); }
svg.narrow { display: none; }
.panels { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1rem; }
img { display: block; width: 100%; height: auto; border-radius: 3px; background: var(--tint); }
.triples { display: grid; gap: 1rem; }
.triple { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem; margin: 0; }
.triple span { display: block; margin-bottom: .25rem; color: var(--soft); }
.triple span { font: .8125rem/1.4 system-ui, sans-serif; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem; margin: 1rem 0;
  font: .875rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
details { margin: 1rem 0; } summary { cursor: pointer; }
pre { overflow-x: auto; margin: .8rem 0; padding: 1rem; background: var(--tint); border-radius: 4px;
  font: .8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
code { font: .9em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
footer { margin-top: 4rem; padding-top: 1.2rem; padding-bottom: 3rem; border-top: 1px solid var(--line); }
@media (max-width: 46rem) {
  header { padding-top: 2rem; }
  svg.wide { display: none; } svg.narrow { display: block; }
  body { font-size: 1rem; }
  .triple { gap: .3rem; } .panels { grid-template-columns: 1fr; }
  table { font-size: .8125rem; } th, td { padding: .45rem .35rem; } .extra { display: none; }
  tbody th { white-space: normal; }
  #cost table, #samples table { font-size: .75rem; } #cost tbody th { white-space: nowrap; }
  #cost th, #cost td, #samples th, #samples td { padding: .4rem .25rem; }
  #cost th:first-child, #samples th:first-child { padding-left: 0; }
  .key { margin-right: .3rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
}
@media print { nav { display: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""
