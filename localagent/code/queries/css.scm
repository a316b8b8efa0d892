; Rules and imports of style sheets.
(rule_set (selectors) @name) @def.rule
(keyframes_statement (keyframes_name) @name) @def.rule

(import_statement (string_value) @import)
