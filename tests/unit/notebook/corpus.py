"""Texts that a message may hold and that must stay text."""

HOSTILE = (
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    '"><svg onload="window.pwned = 1">',
    "<iframe srcdoc='<script>parent.pwned = 1</script>'></iframe>",
    "</style><script>window.pwned = 1</script>",
    "</td></tr></table><script>window.pwned = 1</script>",
    "javascript:window.pwned=1",
    "${window.pwned = 1}{{constructor.constructor('window.pwned=1')()}}",
    "&lt;script&gt;window.pwned = 1&lt;/script&gt;",
    "<a href='javascript:window.pwned=1'>click</a>",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "safe\u202egnp.exe",
    "\u2066isolated\u2069\u200b\ufeff",
    "nul\x00byte",
    "line\nbreak\ttab",
    "# markdown **bold** <details open ontoggle=window.pwned=1>",
)
