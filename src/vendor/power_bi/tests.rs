//! The rows of `reference/powerbi-boldbi.md` section H that are about single messages of Power BI.
