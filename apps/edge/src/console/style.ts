export const CONSOLE_STYLE = `
:root{color-scheme:light dark}*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:1.5rem auto;padding:0 1rem}
header{display:flex;justify-content:space-between;align-items:baseline}
main{display:grid;grid-template-columns:1fr 1fr;gap:2rem}@media(max-width:48rem){main{grid-template-columns:1fr}}section{min-width:0;overflow-x:auto}
form{display:flex;flex-wrap:wrap;gap:.5rem;margin:.75rem 0}label{display:grid;gap:.2rem}
input,select,button,textarea{font:inherit;padding:.4rem .6rem}textarea{flex:1 1 20rem;min-height:3rem}
#said{display:grid;gap:.6rem;max-height:55vh;overflow:auto}
#said p{margin:0;white-space:pre-wrap;padding:.5rem .75rem;border-radius:.5rem;background:#8881}
#said p.user{background:#48f2}[role=alert]{color:#c33}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}td,th{text-align:left;padding:.2rem .6rem .2rem 0;vertical-align:top}
meter{width:100%}ul{padding-left:1.2rem}summary{cursor:pointer}details form{font-size:.9rem;align-items:end}
[hidden]{display:none!important}`;
