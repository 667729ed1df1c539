"""The look of the report's page; every rule stays inside `.tf-pai`, so that it can stand in a notebook too."""

STYLE = """
.tf-pai { --paper: #ffffff; --ink: #1c2430; --soft: #566273; --line: #d5dbe2; --tint: #f3f6f9; --kept: #3b82c4;
  --warn: #8a4b08; --warn-paper: #fff4e5;
  background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
  margin: 0 auto; padding: 1.5rem 1rem 3rem; }
@media (prefers-color-scheme: dark) {
  .tf-pai { --paper: #14181d; --ink: #e4e8ec; --soft: #a3aebb; --line: #343c46; --tint: #1d232a; --kept: #5a9bd6;
    --warn: #ffc078; --warn-paper: #33260f; } }
.tf-pai h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
.tf-pai h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.tf-pai p { max-width: 45rem; }
.tf-pai .warnings { background: var(--warn-paper); color: var(--warn); border-left: 4px solid; padding: .7rem 1rem;
  margin: 1rem 0; overflow-wrap: anywhere; }
.tf-pai .warnings p { margin: .2rem 0; max-width: none; }
.tf-pai dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.tf-pai dl div { background: var(--tint); border-radius: .4rem; padding: .6rem .8rem; }
.tf-pai dt { color: var(--soft); font-size: .85rem; }
.tf-pai dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.tf-pai .scroll { overflow-x: auto; }
.tf-pai table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums;
  background: transparent; color: inherit; }
.tf-pai th, .tf-pai td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; background: transparent; }
.tf-pai thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.tf-pai tbody th { font-weight: 400; overflow-wrap: anywhere; min-width: 9rem; }
.tf-pai tfoot td, .tf-pai tfoot th { font-weight: 600; }
.tf-pai .number { text-align: right; white-space: nowrap; }
.tf-pai .bar { display: block; height: 4px; background: var(--line); min-width: 5rem; margin-top: 3px; }
.tf-pai .bar i { display: block; height: 100%; background: var(--kept); }
.tf-pai .empty th, .tf-pai .empty td { color: var(--warn); }
.tf-pai figure { margin: 1rem 0; overflow-x: auto; }
.tf-pai svg { display: block; width: 100%; min-width: 34rem; max-width: 46rem; height: auto; }
.tf-pai pre { background: var(--tint); color: inherit; border-radius: .4rem; padding: .8rem 1rem; overflow-x: auto;
  font-size: .88rem; }
.tf-pai .soft { color: var(--soft); font-size: .88rem; }
.tf-pai :focus-visible { outline: 2px solid var(--kept); outline-offset: 2px; }
"""

BODY_STYLE = """
body { margin: 0; background: #ffffff; }
@media (prefers-color-scheme: dark) { body { background: #14181d; } }
"""
