use crate::bed::Bed;
use landfall_aws::{
    Arn, AwsError, CertificateKind, CertificateStatus, KeyAlgorithm, NewCertificate, Tags,
};
use landfall_model::Secret;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::json;

/// A certificate that is its own authority.
pub fn new(names: &[&str], key: &KeyPair) -> NewCertificate {
    let names: Vec<String> = names.iter().map(|&it| it.to_owned()).collect();
    let certificate = CertificateParams::new(names).and_then(|it| it.self_signed(key));
    let leaf = certificate.expect("a certificate").pem();
    let tags = Tags::from([("landfall/stack".to_owned(), "shop".to_owned())]);
    NewCertificate { chain: Some(leaf.clone()), leaf, key: Secret::new(key.serialize_pem()), tags }
}

pub fn ecdsa() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

pub fn rsa(size: RsaKeySize) -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).expect("a key")
}

#[tokio::test]
async fn a_certificate_is_imported_described_found_and_deleted() {
    let Some(bed) = Bed::new("a_certificate_is_imported_described_found_and_deleted").await else {
        return;
    };
    let aws = bed.aws().await;
    let given = new(&["shop.example.com", "*.shop.example.com"], &ecdsa());
    assert!(!format!("{given:?}").contains("PRIVATE KEY"), "a key must not be printed");
    let arn = aws.import_certificate(&given).await.expect("an import");
    assert_eq!(arn.region(), Some(aws.region()));
    assert_eq!(arn.account(), Some(bed.account.as_str()));

    let certificate = aws.certificate(&arn).await.expect("a certificate");
    assert_eq!(certificate.arn, arn);
    assert_eq!(certificate.names, ["shop.example.com", "*.shop.example.com"]);
    assert_eq!(certificate.status, CertificateStatus::Issued);
    assert_eq!(certificate.kind, CertificateKind::Imported);
    assert_eq!(certificate.key, KeyAlgorithm::P256);
    let (from, until) =
        (certificate.not_before.expect("a start"), certificate.not_after.expect("an end"));
    assert!(from < until, "{certificate:?}");
    assert!(certificate.in_use_by.is_empty());

    let found = aws.certificates_for("a.shop.example.com").await.expect("a listing");
    assert_eq!(found.iter().map(|it| &it.arn).collect::<Vec<_>>(), [&arn]);
    assert_eq!(aws.certificates_for("example.com").await.expect("a listing"), []);

    aws.delete_certificate(&arn).await.expect("a deletion");
    let gone = aws.certificate(&arn).await.expect_err("a deleted certificate");
    assert!(matches!(gone, AwsError::NotFound { .. }), "{gone}");
    let calls = bed.calls("ImportCertificate").await;
    assert_eq!(
        calls[0]["parameters"]["Tags"],
        json!([{ "Key": "landfall/stack", "Value": "shop" }])
    );
}

#[tokio::test]
async fn a_listing_has_every_page_and_every_kind_of_key() {
    let Some(bed) = Bed::new("a_listing_has_every_page_and_every_kind_of_key").await else {
        return;
    };
    bed.set(json!({ "page_size": 2 })).await;
    let aws = bed.aws().await;
    let mut imported: Vec<Arn> = Vec::new();
    for key in [rsa(RsaKeySize::_4096), ecdsa(), ecdsa(), ecdsa(), ecdsa()] {
        let name = format!("n{}.example.com", imported.len());
        imported.push(aws.import_certificate(&new(&[&name], &key)).await.expect("an import"));
    }
    let listed = aws.certificates().await.expect("a listing");
    assert_eq!(
        listed.iter().map(|it| &it.arn).collect::<Vec<_>>(),
        imported.iter().collect::<Vec<_>>()
    );
    assert_eq!(bed.calls("ListCertificates").await.len(), 3);
    let large = aws.certificate(&imported[0]).await.expect("a certificate").key;
    assert_eq!((large.fits_network_load_balancer(), large), (false, KeyAlgorithm::Rsa(4096)));
}

#[tokio::test]
async fn what_acm_refuses_says_why() {
    let Some(bed) = Bed::new("what_acm_refuses_says_why").await else { return };
    let aws = bed.aws().await;
    let broken =
        NewCertificate { leaf: "nonsense".to_owned(), ..new(&["a.example.com"], &ecdsa()) };
    let refused = aws.import_certificate(&broken).await.expect_err("no certificate");
    let AwsError::Service { code, status: 400, .. } = &refused else { panic!("{refused}") };
    assert_eq!(code, "ValidationException");
    assert!(refused.to_string().contains("acm:ImportCertificate in eu-west-1"), "{refused}");
    assert!(refused.to_string().contains("not PEM-encoded"), "{refused}");
}

#[tokio::test]
async fn an_import_is_not_tried_again_when_it_may_have_happened() {
    let Some(bed) = Bed::new("an_import_is_not_tried_again_when_it_may_have_happened").await else {
        return;
    };
    let aws = bed.aws().await;
    let given = new(&["a.example.com"], &ecdsa());
    bed.fault("ImportCertificate", json!({ "kind": "reset" })).await;
    let broken = aws.import_certificate(&given).await.expect_err("a broken connection");
    assert!(matches!(broken, AwsError::Unreachable { .. }), "{broken}");
    assert_eq!(bed.calls("ImportCertificate").await.len(), 1);
    // Throttling comes before anything happens.
    bed.fault("ImportCertificate", json!({ "kind": "refuse", "code": "ThrottlingException" }))
        .await;
    aws.import_certificate(&given).await.expect("an import");
    assert_eq!(bed.calls("ImportCertificate").await.len(), 3);
}

#[tokio::test]
async fn a_certificate_in_use_stays() {
    let Some(bed) = Bed::new("a_certificate_in_use_stays").await else { return };
    let aws = bed.aws().await;
    let arn = aws.import_certificate(&new(&["a.example.com"], &ecdsa())).await.expect("an import");
    let (balancer, group) = (bed.load_balancer("used").await, bed.target_group("used").await);
    let text = arn.to_string();
    let fields = [("Protocol", "TLS"), ("Certificates.member.1.CertificateArn", text.as_str())];
    bed.listener(&balancer, &group, 443, &fields).await;
    let certificate = aws.certificate(&arn).await.expect("a certificate");
    assert_eq!(certificate.in_use_by, [balancer.to_string()]);
    let refused = aws.delete_certificate(&arn).await.expect_err("it is in use");
    assert!(refused.to_string().contains("ResourceInUseException"), "{refused}");
}
