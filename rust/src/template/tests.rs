use super::*;

fn render(source: &str, messages: &str) -> Result<String> {
    render_with(
        source,
        &Render {
            messages,
            ..Render::default()
        },
    )
}

fn render_with(source: &str, input: &Render) -> Result<String> {
    ChatTemplate::new(source)?.render(input)
}

fn check(source: &str, expected: &str) {
    assert_eq!(render(source, "[]").unwrap(), expected, "{source}");
}

#[test]
fn blocks_are_trimmed_as_transformers_does() {
    let source = "{% for m in messages %}\n    {% if true %}\n[{{ m.role }}]\n  {% endif %}\n{% endfor %}\nend\n";
    let messages = r#"[{"role": "user"}, {"role": "assistant"}]"#;
    assert_eq!(
        render(source, messages).unwrap(),
        "[user]\n[assistant]\nend"
    );
}

#[test]
fn python_methods() {
    check(
        "{{ ' a '.strip() + 'xay'.strip('xy') + 'ab'.lstrip('a') + 'ab'.rstrip('b') }}",
        "aaba",
    );
    check(
        "{{ 'a</t>b</t>c'.split('</t>')[-1] ~ ' a  b '.split()|length }}",
        "c2",
    );
    check(
        "{{ 'abc'.startswith('ab') and 'abc'.endswith(('x', 'c')) }}",
        "True",
    );
    check(
        "{{ 'it\\'s ok'.title() ~ 'a'.upper() ~ 'A'.lower() ~ 'ab'.capitalize() }}",
        "It'S OkAaAb",
    );
    check(
        "{{ 'aXbXc'.replace('X', '-', 1) ~ 'éa'.find('a') ~ 'a'.find('z') }}",
        "a-bXc1-1",
    );
    check(
        "{{ 'pre.x'.removeprefix('pre.') ~ 'x.y'.removesuffix('.y') }}",
        "xx",
    );
    check(
        "{{ 'a.b.c'.rsplit('.', 1) }} {{ ' a b  c '.rsplit(none, 1) }}",
        "['a.b', 'c'] [' a b', 'c']",
    );
    check(
        "{{ 'k=v=w'.partition('=')|join('|') ~ 'k'.rpartition('=')|join('|') }}",
        "k|=|v=w||k",
    );
    check(
        "{{ ''.isdigit() }} {{ 'a1'.islower() }} {{ '7'.zfill(3) }} {{ 'a'.ljust(3) }}|",
        "False True 007 a  |",
    );
    check(
        "{{ 'a,b'.split(',').index('b') }}{{ ', '.join(['a', 'b']) }}",
        "1a, b",
    );
    check("{% set d = {'b': 1, 'a': 2} %}{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}{{ d.get('z', 7) }}{{ d.keys()|list }}", "b1a27['b', 'a']");
    check(
        "{{ '{}-{}'.format('a', 1) }}{{ '%s=%s' | format('k', 2) }}",
        "a-1k=2",
    );
}

#[test]
fn values_print_as_in_python() {
    check(
        "{{ true }} {{ none }} {{ 1.0 }} {{ [1, 'a'] }} {{ {'k': false} }} {{ nothing }}|",
        "True None 1.0 [1, 'a'] {'k': False} |",
    );
    check("{{ none|string ~ 1|string }}", "None1");
}

#[test]
fn language_features_templates_rely_on() {
    check("{% set ns = namespace(n=0) %}{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "8");
    check(
        "{% for x in ['a', 'b', 'c'][::-1] %}{{ loop.index0 }}{{ x }}{% endfor %}",
        "0c1b2a",
    );
    check(
        "{{ ['a', 'b', 'c'][1:]|join }}{{ 'abc'[:-1] }}{{ ['a', 'b'][-1] }}",
        "bcabb",
    );
    check(
        "{% macro f(x, y='d') %}<{{ x }}{{ y }}>{% endmacro %}{{ f('a') }}{{ f('b', y='c') }}",
        "<ad><bc>",
    );
    check("{% set m = {'content': 'x'} %}{{ 'content' in m }}{{ m.content is string }}{{ m is mapping }}{{ m.none is defined }}", "TrueTrueTrueFalse");
    check("{{ [{'a': 1}, {'a': 2}]|map(attribute='a')|list }}{{ [{'r': 'x'}, {'r': 'y'}]|selectattr('r', 'equalto', 'y')|list|length }}", "[1, 2]1");
    check("{% set x %}\n  body\n{% endset %}{{ x|trim }}", "body");
    check(
        "{{ 'x' if false }}|{{ 'a' ~ 1 }}{{ 'b' * 3 }}{{ 7 // 2 }}{{ 7 % 4 }}",
        "|a1bbb33",
    );
    check("{%- for m in [1, 2] -%}\n  {%- if loop.first %}F{% endif %}{% if loop.last %}L{% endif %}{{ loop.previtem is defined }}\n{%- endfor -%}", "FFalseLTrue");
    check("{% set j = joiner(',') %}{{ j() }}x{{ j() }}", "x,");
    check("{# comment #}{% raw %}{{ x }}{% endraw %}", "{{ x }}");
    check("{{ 'a' is iterable }}{{ [1] is sequence }}", "TrueTrue");
    check(
        "{% for k, v in {'b': 1}|items %}{{ k }}{{ v }}{% endfor %}{{ {'b': 1, 'a': 2}|dictsort }}",
        "b1[['a', 2], ['b', 1]]",
    );
}

#[test]
fn generation_tags_are_tolerated() {
    let source = "{% for m in messages %}{%- generation -%} {{ m.content }} {%-  endgeneration %}\n{% endfor %}";
    assert_eq!(
        render(source, r#"[{"content": "a"}, {"content": "b"}]"#).unwrap(),
        "ab"
    );
    assert_eq!(
        without_generation_tags("{% if generation %}{%+ generation +%}{% - %}{%"),
        "{% if generation %}{%+ if true +%}{% - %}{%"
    );
    assert_eq!(
        without_generation_tags("{%-%}{%%}é{% endgeneration -%}"),
        "{%-%}{%%}é{% endif -%}"
    );
    assert_eq!(without_generation_tags("{%}{% x %}"), "{%}{% x %}");
}

#[test]
fn json_of_tools_keeps_their_order_and_html() {
    let tools = r#"[{"type": "function", "function": {"name": "f", "description": "a < b & 'c'", "zeta": 1.0, "alpha": [true, null]}}]"#;
    let input = Render {
        tools,
        messages: "[]",
        ..Render::default()
    };
    let text = r#"{"type": "function", "function": {"name": "f", "description": "a < b & 'c'", "zeta": 1.0, "alpha": [true, null]}}"#;
    assert_eq!(
        render_with("{{ tools[0] | tojson }}", &input).unwrap(),
        text
    );
    let indented = render_with("{{ tools[0].function.alpha | tojson(indent=4) }}", &input).unwrap();
    assert_eq!(indented, "[\n    true,\n    null\n]");
    let tight = "{{ {'b': 'é', 'a': 1} | tojson(ensure_ascii=true, separators=(',', ':'), sort_keys=true) }}";
    check(tight, r#"{"a":1,"b":"\u00e9"}"#);
    assert!(render("{{ 1 | tojson(nonsense=1) }}", "[]").is_err());
    assert_eq!(
        render("{{ tools is none }}{{ tools is defined }}", "[]").unwrap(),
        "TrueTrue"
    );
}

#[test]
fn variables_reach_the_template_but_hide_nothing() {
    let input = Render {
        messages: r#"[{"role": "user"}]"#,
        variables: r#"{"bos_token": "<s>", "enable_thinking": false, "messages": "hidden"}"#,
        add_generation_prompt: true,
        ..Render::default()
    };
    let source = "{{ bos_token }}{{ enable_thinking is false }}{{ messages[0].role }}{{ add_generation_prompt }}";
    assert_eq!(render_with(source, &input).unwrap(), "<s>TrueuserTrue");
}

#[test]
fn time_is_formatted_as_c_does() {
    let input = Render {
        messages: "[]",
        now: Some(1_722_384_000),
        ..Render::default()
    };
    let source = "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M') }}";
    assert_eq!(
        render_with(source, &input).unwrap(),
        "31 Jul 2024 2024-07-31 00:00"
    );
    assert!(render_with("{{ strftime_now('%Q%') }}", &input).is_err());
    assert_eq!(
        render("{{ strftime_now('%Y')|length }}", "[]").unwrap(),
        "4"
    );
}

#[test]
fn a_templates_own_complaint_is_the_error() {
    let source =
        "{% macro f() %}{{ raise_exception('roles must alternate') }}{% endmacro %}{{ f() }}";
    let error = render(source, "[]").unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (crate::Kind::InvalidArgument, "roles must alternate")
    );
}

#[test]
fn broken_templates_and_inputs_are_refused() {
    assert!(ChatTemplate::new("{% if %}")
        .err()
        .unwrap()
        .message
        .starts_with("chat template: "));
    for (source, messages) in [
        ("{{ missing.attribute }}", "[]"),
        ("{{ 'a'.nonsense() }}", "[]"),
        ("x", "{}"),
        ("x", "[1"),
        ("{{ 'a' + 1 }}", "[]"),
    ] {
        assert!(render(source, messages).is_err(), "{source} {messages}");
    }
    let input = Render {
        messages: "[]",
        variables: "[]",
        ..Render::default()
    };
    assert!(render_with("x", &input)
        .err()
        .unwrap()
        .message
        .contains("wanted an object"));
}

#[test]
fn hostile_templates_end() {
    let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    assert!(render(loops, "[]").is_err());
    let writes = "{% set x = 'aaaaaaaaaa' * 100000 %}{% for a in range(9999) %}{{ x }}{% endfor %}";
    assert!(render(writes, "[]")
        .err()
        .unwrap()
        .message
        .contains("chat template"));
    let deep = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
    assert!(render(deep, "[]").is_err());
    assert!(ChatTemplate::new(&"{{ ".repeat(1000)).is_err());
    assert!(ChatTemplate::new(&format!("{{{{ {}1 }}}}", "(".repeat(5000))).is_err());
}

// What each costs where nothing bounds it: memory without end, minutes, or the process.
#[test]
fn templates_that_grow_without_end_are_refused() {
    let growing = [
        "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x|join }}",
        "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x.replace('a', n.x) %}{% endfor %}",
        "{% macro f(x) %}{{ x }}{{ x }}{% endmacro %}{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = f(n.x) %}{% endfor %}",
        "{% set x %}{% for i in range(90000) %}{% for j in range(99) %}a long piece of text that is written again and again, without end{% endfor %}{% endfor %}{% endset %}",
    ];
    for source in growing {
        let template = ChatTemplate::new(source).unwrap();
        let input = Render {
            messages: "[]",
            ..Render::default()
        };
        let error = template.render(&input).unwrap_err();
        assert!(
            error.message.starts_with("chat template: "),
            "{source}: {error}"
        );
        if error.kind == crate::Kind::Unsupported {
            let again = template.render(&input).unwrap_err();
            assert!(again.message.contains("before"), "{source}: {again}");
        }
    }
}

#[test]
fn templates_that_nest_without_end_are_dropped_whole() {
    let nest = "{% set n = namespace(x=[]) %}{% for i in range(300) %}{% for j in range(300) %}{% set n.x = [n.x] %}{% endfor %}{% endfor %}";
    assert_eq!(render(nest, "[]").unwrap(), "");
    let printed = format!("{nest}{{{{ n.x }}}}");
    assert!(render(&printed, "[]")
        .unwrap_err()
        .message
        .contains("nested"));
    let written = format!("{nest}{{{{ n.x|tojson }}}}");
    assert!(render(&written, "[]")
        .unwrap_err()
        .message
        .contains("nested"));
}

#[test]
fn a_range_without_end_is_refused_at_once() {
    let start = std::time::Instant::now();
    assert!(render("{% for i in range(10**9) %}x{% endfor %}", "[]").is_err());
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}
