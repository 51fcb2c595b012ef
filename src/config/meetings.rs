//! Names that meet: a configuration may be well-formed and still give two
//! different names of the clusters one name of the zone, or one that can never
//! be asked. Whoever wrote it is told, with an example.

use super::ConfigError;
use super::plan::Zone;
use crate::wire::name::{FlatName, MAX_NAME, Suffix};

/// Whether `name` is at or under `suffix`, by whole labels.
fn is_under(name: &Suffix, suffix: &Suffix) -> bool {
    FlatName::from_flat(name.as_slice()).is_ok_and(|flat| flat.under(suffix).is_some())
}

fn text(prefix: &[u8]) -> String {
    String::from_utf8_lossy(prefix).into_owned()
}

/// Says which names meet; or, as an error, where nothing could ever be asked.
/// `places` tells where each zone's clusters are written.
pub(super) fn check(zones: &[Zone], places: &[Vec<String>]) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    for (zone, places) in zones.iter().zip(places) {
        for (cluster, place) in zone.clusters.iter().zip(places) {
            // One label of one octet, on either side of the rewriting.
            let inside = cluster.suffix.as_slice().len() + 2;
            let outside = zone.name.as_slice().len() + 2 + cluster.prefix.len();
            if inside > MAX_NAME || outside > MAX_NAME {
                return Err(ConfigError {
                    place: place.clone(),
                    wrong: format!(
                        "no name of cluster {} fits into {MAX_NAME} octets on both sides, \
                         so nothing could ever be asked",
                        cluster.label
                    ),
                    remedy: "shorten the suffix, the prefix or the zone".into(),
                });
            }
        }
        prefixes(zone, &mut warnings);
        suffixes(zone, &mut warnings);
    }
    nested_zones(zones, &mut warnings);
    Ok(warnings)
}

/// `a-` and `a-b-`: b-x of the one and x of the other are both a-b-x.
fn prefixes(zone: &Zone, warnings: &mut Vec<String>) {
    for short in &zone.clusters {
        for long in &zone.clusters {
            let Some(start) = long.prefix.get(..short.prefix.len()) else { continue };
            if short.prefix.len() == long.prefix.len() || !start.eq_ignore_ascii_case(&short.prefix)
            {
                continue;
            }
            warnings.push(format!(
                "zone {}: the prefix '{}' begins with '{}', so {}x.{} and x.{} are both {}x.{}; \
                 choose prefixes of which none begins with another",
                zone.name,
                text(&long.prefix),
                text(&short.prefix),
                text(&long.prefix[short.prefix.len()..]),
                short.suffix,
                long.suffix,
                text(&long.prefix),
                zone.name
            ));
        }
    }
}

/// Two clusters under one suffix, named by a third: whose name is it?
fn suffixes(zone: &Zone, warnings: &mut Vec<String>) {
    for (n, first) in zone.clusters.iter().enumerate() {
        let twin = zone.clusters[n + 1..].iter().find(|other| other.suffix.same(&first.suffix));
        let earlier = zone.clusters[..n].iter().any(|other| other.suffix.same(&first.suffix));
        let third = zone.clusters.iter().find(|other| !is_under(&first.suffix, &other.suffix));
        let (Some(twin), false, Some(third)) = (twin, earlier, third) else { continue };
        warnings.push(format!(
            "zone {}: clusters '{}' and '{}' share {}, so when cluster '{}' names x.{} it becomes \
             {}x.{}, whichever of them was meant",
            zone.name,
            text(&first.prefix),
            text(&twin.prefix),
            first.suffix,
            text(&third.prefix),
            first.suffix,
            text(&first.prefix),
            zone.name
        ));
    }
}

/// A zone inside another takes names that the other's clusters may have.
fn nested_zones(zones: &[Zone], warnings: &mut Vec<String>) {
    for outer in zones {
        for inner in zones {
            if outer.name.same(&inner.name) || !is_under(&inner.name, &outer.name) {
                continue;
            }
            let Some(cluster) = outer.clusters.first() else { continue };
            let labels = inner.name.labels() - outer.name.labels();
            let Ok(flat) = FlatName::from_flat(inner.name.as_slice()) else { continue };
            let front = &flat.as_slice()[..flat.start(labels)];
            let mut hidden = front.to_vec();
            hidden.extend_from_slice(cluster.suffix.as_slice());
            let Ok(hidden) = Suffix::new(&hidden) else { continue };
            warnings.push(format!(
                "zone {} is inside zone {}, so x.{hidden} of cluster '{}' becomes {}x.{}, which is \
                 asked of the inner zone's clusters",
                inner.name,
                outer.name,
                text(&cluster.prefix),
                text(&cluster.prefix),
                inner.name
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, ZoneDraft, build};

    fn told(zones: &[(&str, &[&str])]) -> Result<Vec<String>, String> {
        let zones = zones
            .iter()
            .map(|(name, clusters)| ZoneDraft {
                place: "--zone".into(),
                name: name.to_string(),
                clusters: clusters
                    .iter()
                    .map(|line| ("--cluster".to_string(), line.to_string()))
                    .collect(),
                behaviour: None,
            })
            .collect();
        let built = build(Draft { zones, ..Draft::default() });
        built.map(|plan| plan.warnings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_seeds_configuration_is_clean() {
        let clusters = ["cluster-a.local. a- 10.8.0.1", "cluster-b.local. b- 10.9.0.1"];
        assert_eq!(told(&[("distributed.local.", &clusters)]), Ok(vec![]));
        let twins = ["cluster.local. a- 10.8.0.1", "cluster.local. b- 10.9.0.1"];
        assert_eq!(told(&[("distributed.local.", &twins)]), Ok(vec![]));
    }

    #[test]
    fn prefixes_that_begin_with_each_other_are_told_with_a_pair_of_names() {
        let clusters = ["k. a- 10.8.0.1", "l. a-b- 10.9.0.1"];
        let warnings = told(&[("z.", &clusters)]).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("b-x.k. and x.l. are both a-b-x.z."), "{warnings:?}");
    }

    #[test]
    fn a_shared_suffix_is_ambiguous_only_for_a_third_cluster() {
        let clusters = ["k. a- 10.8.0.1", "k. b- 10.9.0.1", "l. c- 10.10.0.1"];
        let warnings = told(&[("z.", &clusters)]).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("names x.k. it becomes a-x.z."), "{warnings:?}");
    }

    #[test]
    fn a_zone_inside_a_zone_hides_names() {
        let zones: [(&str, &[&str]); 2] =
            [("z.", &["k. a- 10.8.0.1"]), ("in.z.", &["l. b- 10.9.0.1"])];
        let warnings = told(&zones).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("x.in.k. of cluster 'a-' becomes a-x.in.z."), "{warnings:?}");
    }

    #[test]
    fn a_cluster_that_could_never_be_asked_is_an_error() {
        let label = "x".repeat(63);
        let suffix = format!("{label}.{label}.{label}.{}.", "y".repeat(60));
        let line = format!("{suffix} a- 10.8.0.1");
        let error = told(&[("z.", &[&line])]).unwrap_err();
        assert!(error.contains("nothing could ever be asked"), "{error}");
    }

    #[test]
    fn names_that_fit_exactly_are_no_mistake() {
        let label = "x".repeat(63);
        let long = |last: usize| format!("{label}.{label}.{label}.{}.", "x".repeat(last));
        // A label of one octet in front of it makes 255 (RFC 1035, 2.3.4).
        let suffix = long(59);
        assert_eq!(told(&[("z.", &[&format!("{suffix} a- 10.8.0.1")])]), Ok(vec![]));
        let suffix = long(60);
        let told_of_suffix = told(&[("z.", &[&format!("{suffix} a- 10.8.0.1")])]).unwrap_err();
        assert!(told_of_suffix.contains("nothing could ever be asked"), "{told_of_suffix}");
        // On this side the prefix needs room as well; and a zone has 244 octets at most.
        let zone = long(50);
        assert_eq!(told(&[(&zone, &["k. abcdefgh- 10.8.0.1"])]), Ok(vec![]));
        let told_of_prefix = told(&[(&zone, &["k. abcdefghi- 10.8.0.1"])]).unwrap_err();
        assert!(told_of_prefix.contains("nothing could ever be asked"), "{told_of_prefix}");
        let told_of_zone = told(&[(&long(51), &["k. a- 10.8.0.1"])]).unwrap_err();
        assert!(told_of_zone.contains("leaves no room"), "{told_of_zone}");
    }
}
