; Tables of TOML.
(table . (_) @name) @def.table
(table_array_element . (_) @name) @def.table
