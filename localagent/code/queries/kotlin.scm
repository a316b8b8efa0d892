; Definitions, calls and imports of Kotlin.
(class_declaration name: (identifier) @name) @def.class
(object_declaration name: (identifier) @name) @def.class
(function_declaration name: (identifier) @name) @def.function

(call_expression . (identifier) @call)
(call_expression . (navigation_expression (identifier) @call .))

(import (qualified_identifier) @import)
