//! One broken renderer per clause; the clause's test has to fail on it.

use nxmesh_core::testkit::renderer::{self as suite, Rig};

use crate::toy::{Fault, Toy};

macro_rules! saboteurs {
    ($($name:ident: $fault:ident fails $clause:ident;)+) => {$(
        #[test]
        #[should_panic]
        fn $name() {
            struct Saboteur;
            impl Rig for Saboteur {
                type Subject = Toy;
                fn start() -> Toy {
                    Toy(Fault::$fault)
                }
            }
            suite::$clause::<Saboteur>();
        }
    )+};
}

saboteurs! {
    an_impure_one: Impure fails the_same_gives_the_same;
    one_that_names_files_after_text: PathsFromText fails paths_are_plain;
    one_that_writes_one_file: OneFile fails each_resource_has_one_file;
    one_that_changes_other_files: Impure fails a_file_changes_with_its_resource_only;
    one_that_names_certificates_by_resource: CertificateByName fails a_file_changes_with_what_it_refers_to;
    one_that_forgets_who_refers: ForgetsReferrers fails rerender_gives_what_render_gives;
    one_that_keeps_what_is_removed: KeepsRemoved fails rerender_gives_what_render_gives;
    one_that_does_not_quote: Unquoted fails no_text_changes_the_structure;
    one_that_forgets_backslashes: HalfQuoted fails no_text_changes_the_structure;
    one_that_forgets_backslashes_in_texts: HalfQuoted fails texts_are_read_back;
    one_that_escapes_for_html: HtmlEscaped fails texts_are_read_back;
    one_that_omits: OmitsMissing fails a_missing_reference_is_an_error;
}
