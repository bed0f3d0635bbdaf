/** What the browser is sent besides pages. */

/** The style sheet of every page. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f6f4ef; --card: #ffffff; --ink: #1f2430; --soft: #565d6d; --line: #d9d5ca;
  --accent: #0b5d66; --on-accent: #ffffff; --danger: #a3262a; --notice: #e4f1ef; --warning: #fbeed3; --amber: #9a6412;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15181e; --card: #1f242d; --ink: #eceae4; --soft: #aab1bf; --line: #3a414e;
    --accent: #7fd0d6; --on-accent: #10252a; --danger: #ff9d98; --notice: #1d3437; --warning: #3a2f19; --amber: #e8b765;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 1.0625rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
header, main, footer { max-width: 44rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: center; padding-block: 1.25rem; }
.brand { display: flex; gap: .6rem; align-items: center; margin-inline-end: auto; font-weight: 650; }
.brand img { width: 1.75rem; height: 1.75rem; }
nav { display: flex; flex-wrap: wrap; gap: 0 1.25rem; }
nav a { padding: .5rem 0; }
main nav { border-bottom: 1px solid var(--line); margin-bottom: 1.25rem; }
a { color: var(--accent); text-underline-offset: .2em; }
a[aria-current] { color: inherit; text-decoration: none; font-weight: 650; }
main nav a[aria-current] { box-shadow: 0 .1875rem 0 -.0625rem var(--accent); }
footer { padding-block: 2rem 3rem; color: var(--soft); font-size: .9375rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.25rem; margin-block: 1.25rem; }
.card > :first-child { margin-top: 0; } .card > :last-child { margin-bottom: 0; }
.cards { list-style: none; margin: 0; padding: 0; }
.row { display: flex; flex-wrap: wrap; gap: .75rem 1.25rem; align-items: center; justify-content: space-between; }
.row p { margin: 0; }
.card .row { justify-content: start; margin-top: 1.25rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .5rem 0 1rem; text-wrap: balance; }
h2 { font-size: 1.125rem; margin: 0 0 .75rem; }
.tag { border: 1px solid currentColor; border-radius: 1rem; padding: .1rem .6rem; margin-inline-start: .35rem; color: var(--accent); font-size: .8125rem; white-space: nowrap; }
.count { margin: 0; font-size: 2.75rem; line-height: 1.1; font-weight: 700; font-variant-numeric: tabular-nums; color: var(--accent); }
.count + p { margin: .1rem 0 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .4rem 1.25rem; margin: 1rem 0 0; }
dt { color: var(--soft); } dd { margin: 0; }
code { font: .9375em ui-monospace, monospace; }
.notice, .ended, .problems { border-inline-start: .25rem solid; padding: .75rem 1rem; border-radius: .25rem; margin-block: 0 1.25rem; }
.notice { background: var(--notice); border-color: var(--accent); }
.ended { background: var(--warning); border-color: var(--amber); }
.problems { background: var(--card); border-color: var(--danger); }
.problems h2 { margin-bottom: .25rem; } .problems ul { margin: 0; padding-inline-start: 1.25rem; } .problems a { color: var(--danger); }
.problem { color: var(--danger); font-weight: 600; } .hint { color: var(--soft); }
.problem, .hint { margin: 0 0 .35rem; font-size: .9375rem; }
form { margin: 0; }
.card dl + form { margin-top: 1.25rem; }
label { display: block; font-weight: 600; margin-bottom: .35rem; }
.field { margin-bottom: 1.1rem; }
.check { display: flex; gap: .6rem; align-items: start; margin-bottom: 1.25rem; }
.check label { font-weight: 400; margin: 0; }
.check input { flex: none; width: 1.5rem; height: 1.5rem; margin: .05rem 0 0; accent-color: var(--accent); }
.field input, button { font: inherit; min-height: 2.75rem; border-radius: .5rem; padding: .5rem .9rem; }
.field input { width: 100%; color: inherit; background: var(--ground); border: 1px solid var(--soft); }
.field input[aria-invalid] { border: .125rem solid var(--danger); }
button { border: 1px solid var(--accent); background: var(--accent); color: var(--on-accent); font-weight: 600; cursor: pointer; }
button.quiet, button.danger { background: transparent; color: var(--accent); border-color: currentColor; }
button.danger { color: var(--danger); }
:focus-visible, .problems:focus { outline: .1875rem solid var(--accent); outline-offset: .125rem; }
.list { list-style: none; margin: 1.25rem 0 0; padding: 0; }
.list li { border-top: 1px solid var(--line); padding: .65rem 0; }
.list li:last-child { padding-bottom: 0; }
.list time { display: block; color: var(--soft); font-size: .875rem; }
.soft { color: var(--soft); }
.unseen { position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0; border: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 30rem) {
  main nav { column-gap: 1rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd:not(:last-child) { margin-bottom: .6rem; }
  .cards dl { grid-template-columns: max-content 1fr; gap: .4rem 1rem; } .cards dd:not(:last-child) { margin-bottom: 0; }
  form > button { width: 100%; } .row form { flex: 1 1 100%; }
}
`.trimStart();

/** A token broken in two. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<path fill="#2a8791" d="M15 2a14 14 0 0 0 0 28l-3-5 4-5-4-5 4-5-3-4z"/>
<path fill="#c9892b" d="M18 2a14 14 0 0 1 0 28l-3-5 4-5-4-5 4-5-3-4z"/>
</svg>
`;
