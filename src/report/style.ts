import { UI_COLORS } from './palette.js';

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const variables = (theme: 'light' | 'dark') =>
  Object.entries(UI_COLORS)
    .map(([name, color]) => `--${kebab(name)}:${color[theme]};`)
    .join('');

/**
 * The page's style sheet. `dark` are the declarations that turn the charts' colours dark; they hold where the system
 * or the reader asks for the dark theme, never on paper.
 */
export const styleSheet = (dark: string) => `
:root{color-scheme:light dark;${variables('light')}}
@media screen and (prefers-color-scheme:dark){:root:not([data-theme=light]){${variables('dark')}${dark}}}
@media screen{:root[data-theme=dark]{color-scheme:dark;${variables('dark')}${dark}}:root[data-theme=light]{color-scheme:light}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
a{color:var(--accent)}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:40px}
h1{font-size:30px;line-height:1.2;letter-spacing:-.015em;margin:0 0 10px;overflow-wrap:anywhere}
h2{font-size:21px;line-height:1.3;letter-spacing:-.01em;margin:0 0 6px}
h3{font-size:15px;line-height:1.4;margin:0;overflow-wrap:anywhere}
p{margin:0 0 12px}
.lead{font-size:18px;line-height:1.5;max-width:76ch;margin-bottom:6px}
.muted,figcaption,.note{color:var(--muted)}
.note{font-size:14px;max-width:80ch}
section{margin:44px 0;scroll-margin-top:60px}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin-top:20px;padding-top:14px;border-top:1px solid var(--line);font-size:14px}
nav a{color:var(--muted);text-decoration:none}
nav a:hover,nav a:focus-visible{color:var(--accent);text-decoration:underline}
.bar{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:flex-start;gap:12px 24px}
.bar>div:first-child{min-width:0;flex:1 1 420px}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:18px;align-items:start}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:18px}
.card,figure{background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:0;min-width:0}
.brief{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:18px;margin:10px 0 18px}
.brief h3{color:var(--muted);font-size:13px;font-weight:600}
.brief ul{margin:6px 0 0;padding-left:18px;font-size:15px;line-height:1.5}
.brief li{margin:0 0 8px;overflow-wrap:anywhere}
.nowrap{white-space:nowrap}
.card .head{display:flex;justify-content:space-between;gap:10px;align-items:center;margin-bottom:10px}
.card .head h3{display:flex;gap:8px;align-items:center;min-width:0}
.big{font-size:34px;line-height:1.1;font-weight:600;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.big small{font-size:14px;font-weight:400;letter-spacing:0;color:var(--muted);display:block;margin-top:4px;line-height:1.4}
.card dl{margin:14px 0 0;font-size:14px;line-height:1.5}
.card dt{color:var(--muted);font-size:12px;margin-top:10px}
.card dd{margin:1px 0 0;overflow-wrap:anywhere}
.badge{display:inline-block;border-radius:99px;padding:2px 10px;font-size:12px;line-height:1.5;font-weight:600;white-space:nowrap}
.ok{color:var(--good);background:var(--good-surface)}
.caution{color:var(--caution);background:var(--caution-surface)}
.bad{color:var(--bad);background:var(--bad-surface)}
.formula{font-family:"STIX Two Text","Cambria Math",Cambria,"Times New Roman",Georgia,serif;font-size:1.12em;white-space:nowrap}
.formula sup,.formula sub{font-size:.72em;line-height:0}
.formula .fn{font-style:normal;padding-right:.08em}
.frac{display:inline-flex;flex-direction:column;vertical-align:middle;text-align:center;line-height:1.25;font-size:.88em;padding:0 .15em}
.frac>span:first-child{border-bottom:1px solid currentColor;padding:0 .3em}
.frac>span:last-child{padding:0 .3em}
figure{margin-top:18px}
.grid>figure{margin-top:0}
figure .head{display:flex;flex-wrap:wrap;justify-content:space-between;gap:8px 16px;align-items:center;margin-bottom:8px}
figcaption{font-size:14px;line-height:1.5;margin-top:8px;max-width:86ch}
.plot{width:100%;min-width:0;overflow-x:auto}
.plot .canvas{width:100%}
.plot svg,.plot canvas{display:block;max-width:100%}
.plot.fixed svg text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
.plot.fixed svg{min-width:520px;height:auto}
.tools{display:flex;flex-wrap:wrap;gap:6px 12px;align-items:center;font-size:13px;color:var(--muted)}
.switch{display:inline-flex;align-items:center;gap:6px}
.switch>span{display:inline-flex;border:1px solid var(--line);border-radius:8px;overflow:hidden}
button{font:inherit;font-size:13px;line-height:1.4;color:var(--muted);background:none;border:0;padding:4px 10px;cursor:pointer;min-height:28px}
button:hover{color:var(--ink)}
.switch button[aria-pressed=true]{background:var(--ink);color:var(--surface)}
.export button{border:1px solid var(--line);border-radius:8px;padding:3px 8px}
button:focus-visible,a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:6px}
.legend{display:flex;flex-wrap:wrap;gap:4px;margin:2px 0 10px;padding:0;max-height:150px;overflow-y:auto}
.legend button,.legend .key{display:inline-flex;align-items:center;gap:6px;border:1px solid var(--line);border-radius:99px;padding:2px 10px;color:var(--ink);font-size:13px;max-width:100%;overflow-wrap:anywhere;text-align:left}
.legend button[aria-pressed=false]{color:var(--muted);text-decoration:line-through;border-style:dashed}
.legend button[aria-pressed=false] svg{opacity:.35}
.legend .every{border-color:transparent;color:var(--muted)}
.glyph{flex:none;width:11px;height:11px}
.scroll{overflow-x:auto;max-width:100%}
.scroll.tall{max-height:420px;overflow-y:auto}
table{border-collapse:collapse;font-size:14px;line-height:1.45;min-width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
th[scope=row]{color:var(--ink);font-size:14px}
th{font-weight:600;color:var(--muted);font-size:13px;white-space:nowrap}
td.num,th.num{text-align:right}
td.hash,code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12.5px;overflow-wrap:anywhere}
pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12.5px;white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0}
summary{cursor:pointer;color:var(--muted);font-size:14px;padding:4px 0;width:fit-content}
summary:hover{color:var(--ink)}
details>.scroll,details>.grid,details>.cards{margin-top:8px}
.defs dt{font-weight:600;margin-top:16px}
.defs dd{margin:2px 0 0;max-width:84ch}
footer{border-top:1px solid var(--line);padding-top:16px;padding-bottom:40px;font-size:13px;color:var(--muted)}
.skip{position:absolute;left:-9999px}
.skip:focus{left:16px;top:12px;background:var(--surface);padding:6px 12px;border-radius:8px}
#vg-tooltip-element{position:fixed;visibility:hidden;z-index:10;pointer-events:none;background:var(--surface);color:var(--ink);border:1px solid var(--line);border-radius:10px;padding:8px 12px;font-size:13px;box-shadow:0 6px 24px rgba(0,0,0,.16);max-width:340px}
#vg-tooltip-element.visible{visibility:visible}
#vg-tooltip-element td{border:0;padding:1px 10px 1px 0;overflow-wrap:anywhere}
#vg-tooltip-element td.key{color:var(--muted);white-space:nowrap}
@media(max-width:560px){main,header,footer{padding-left:14px;padding-right:14px}header{padding-top:24px}h1{font-size:25px}.lead{font-size:16.5px}section{margin:34px 0}.card,figure{padding:14px;border-radius:10px}.export{display:none}}
@media print{@page{size:A4;margin:14mm}:root{color-scheme:light}body{background:none;font-size:10.5pt}main,header,footer{max-width:none;padding:0}.tools,nav,.skip,.themes,.legend .every,.behind{display:none!important}.legend button[aria-pressed=false]{display:none}section{margin:22px 0}figure,.card{break-inside:avoid;border-color:#ccc}.cards{grid-template-columns:repeat(2,1fr)}.grid{grid-template-columns:1fr}.plot{overflow:visible}.plot svg,.plot canvas{max-width:100%!important;height:auto!important}h2,h3{break-after:avoid}.legend,.scroll.tall{max-height:none;overflow:visible}tr{break-inside:avoid}.brief{grid-template-columns:repeat(3,1fr);gap:10px}.brief .card{padding:10px 12px}.brief ul{font-size:9pt;padding-left:14px}.scroll{overflow:visible}table{font-size:8.5pt}th,th[scope=row]{white-space:normal;font-size:8.5pt}th,td{padding:3px 9px 3px 0;overflow-wrap:anywhere}.badge{padding:0 6px;font-size:7.5pt;white-space:normal}details:not([open])>summary{display:none}}
`;
