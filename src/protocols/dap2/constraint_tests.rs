//! Tests of the constraint grammar: meaning by example, round trips and hostile text by property.

use proptest::prelude::*;

use super::*;

/// `text` parses, and prints as `canonical`.
fn check(text: &str, canonical: &str) {
    let parsed = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(parsed.to_string(), canonical, "{text}");
    assert_eq!(parse(canonical).unwrap(), parsed, "{canonical}");
}

fn fault(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn every_form_of_section_5_7() {
    check("", "");
    check("sst", "sst");
    check("sst,lat", "sst,lat");
    check("sst[3]", "sst[3:1:3]");
    check("sst[0:1][0:2:4]", "sst[0:1:1][0:2:4]");
    check("sst[*][2:*][1:3:*]", "sst[0:1:*][2:1:*][1:3:*]");
    check("sst.sst[0:1]", "sst.sst[0:1:1]");
    check("s[0:1].f[2]", "s[0:1:1].f[2:1:2]");
    check("g/v[0]", "g/v[0:1:0]");
    check("a%20b", "a%20b");
    check("a b", "a b");
    check("&q.a>1", "&q.a>1");
    check("q&q.a>1&q.b<=2.5e3&", "q&q.a>1&q.b<=2500.0");
    check("q&q.s=~\"^a.*\"", "q&q.s=~\"^a.*\"");
    check("q&q.a={1,2}", "q&q.a={1,2}");
    check("q&q.s!=\"a\\\"b,c&d\"", "q&q.s!=\"a\\\"b,c&d\"");
    check("geogrid(sst,\"a)b\",(1))[0]".trim_end_matches("[0]"), "geogrid(sst,\"a)b\",(1))");
    check("q&bounds(1,2)", "q&bounds(1,2)");
    check("q&q.a>-1", "q&q.a>-1");
    check("q&q.a>q.b", "q&q.a>q.b");
    check("&&", "");
}

#[test]
fn errors_say_where_and_what() {
    insta::assert_snapshot!(fault("sst[1"), @"constraint: expected ':' or ']' at character 6, found its end");
    insta::assert_snapshot!(fault("sst[]"), @"constraint: expected an index or '*' at character 5, found ']'");
    insta::assert_snapshot!(fault("sst[-1]"), @"constraint: expected an index or '*' at character 5, found '-'");
    insta::assert_snapshot!(fault("sst[3:1]"), @"constraint: expected a stop that is not before the start at character 4, found '['");
    insta::assert_snapshot!(fault("sst[0:0:1]"), @"constraint: expected a stride of at least 1 at character 4, found '['");
    insta::assert_snapshot!(fault("sst,,lat"), @"constraint: expected a name at character 5, found ','");
    insta::assert_snapshot!(fault("sst]"), @"constraint: expected '[', '.', ',', '&' or the end at character 4, found ']'");
    insta::assert_snapshot!(fault("q&q.a"), @"constraint: expected a comparison (= != < <= > >= =~) at character 6, found its end");
    insta::assert_snapshot!(fault("é[x]"), @"constraint: expected an index or '*' at character 3, found 'x'");
    insta::assert_snapshot!(fault("f(1"), @"constraint: expected a closing ')' at character 1, found 'f'");
    insta::assert_snapshot!(fault("a[(1):(2)]"), @"constraint: slices by value are not offered; expected an index at character 3, found '('");
    assert_eq!(parse("a[(1):(2)]").unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn the_glued_constraint_of_netcdf_c_is_an_error() {
    // netcdf-c 4.9.0 with a user selection sends projection and selection without the `&`.
    insta::assert_snapshot!(fault("q.aq.a>1"), @"constraint: expected '[', '.', ',', '&' or the end at character 7, found '>'");
}

#[test]
fn limits_are_kept() {
    parse(&vec!["a"; 32_768].join(",")).unwrap();
    parse(&vec!["a"; 32_769].join(",")).unwrap_err();
    parse(&format!("a{}", "&a<1".repeat(1_000))).unwrap();
    parse(&format!("a{}", "&a<1".repeat(1_001))).unwrap_err();
    parse(&vec!["a"; 65].join(".")).unwrap_err();
    parse(&format!("a{}", "[0]".repeat(65))).unwrap_err();
    parse(&format!("f{}", "(".repeat(100_000))).unwrap_err();
    parse(&format!("a&a={{{}}}", vec!["1"; 1_001].join(","))).unwrap_err();
}

fn any_slice() -> impl Strategy<Value = Slice> {
    (0..9_u64, 1..4_u64, proptest::option::of(0..9_u64)).prop_map(|(start, stride, more)| Slice {
        start,
        stride,
        stop: more.map(|m| start + m),
        at: At::default(),
    })
}

fn any_path() -> impl Strategy<Value = Path> {
    let step = ("[a-zA-Z_][a-z0-9_%/é-]{0,6}", proptest::collection::vec(any_slice(), 0..3))
        .prop_map(|(name, slices)| Step { name, slices, at: At::default() });
    proptest::collection::vec(step, 1..4).prop_map(|steps| Path { steps })
}

fn any_operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        any_path().prop_map(Operand::Path),
        any::<i64>().prop_map(|n| Operand::Integer(n.into())),
        (-1e30..1e30_f64).prop_map(Operand::Real),
        "\\PC{0,8}".prop_map(Operand::Text),
    ]
}

fn any_constraint() -> impl Strategy<Value = Constraint> {
    let relation = prop_oneof![
        Just(Relation::Equal),
        Just(Relation::NotEqual),
        Just(Relation::Less),
        Just(Relation::LessOrEqual),
        Just(Relation::Greater),
        Just(Relation::GreaterOrEqual),
        Just(Relation::Matches),
    ];
    let clause = (any_operand(), relation, proptest::collection::vec(any_operand(), 1..4))
        .prop_map(|(left, relation, right)| Clause::Comparison { left, relation, right });
    let projections = proptest::collection::vec(any_path().prop_map(Projection::Path), 0..5);
    (projections, proptest::collection::vec(clause, 0..4))
        .prop_map(|(projections, selections)| Constraint { projections, selections })
}

proptest! {
    #[test]
    fn parsing_what_is_printed_gives_it_back(tree in any_constraint()) {
        prop_assert_eq!(parse(&tree.to_string()).unwrap(), tree);
    }

    #[test]
    fn random_text_never_panics(text in "\\PC{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn random_syntax_never_panics(text in "[a-z0-9.,&\\[\\]:*(){}=<>!~\"\\\\é $-]{0,60}") {
        if let Ok(tree) = parse(&text) {
            prop_assert_eq!(parse(&tree.to_string()).unwrap(), tree);
        }
    }
}
