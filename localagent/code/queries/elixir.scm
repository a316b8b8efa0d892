; Definitions, calls and imports of Elixir.
(call
  target: (identifier) @_define
  (arguments . (alias) @name)
  (do_block) @body
  (#match? @_define "^(defmodule|defprotocol)$")) @def.module
(call
  target: (identifier) @_define
  (arguments . [
    (call target: (identifier) @name)
    (identifier) @name
    (binary_operator left: (call target: (identifier) @name) operator: "when")])
  (#match? @_define "^(def|defp|defmacro|defmacrop|defguard)$")) @def.function

(call target: (identifier) @call
  (#not-match? @call "^(def[a-z]*|alias|import|use|require)$"))
(call target: (dot right: (identifier) @call))

(call
  target: (identifier) @_import
  (arguments . (alias) @import)
  (#match? @_import "^(alias|import|use|require)$"))
