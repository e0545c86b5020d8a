//! Pages of a list.

use tonic::Status;

use crate::grpc::error::invalid;

/// One page of an ordered list (AIP-158). The token is the name after which the page begins.
pub(in crate::grpc) fn page<T>(
    items: impl Iterator<Item = (String, T)>,
    size: u32,
    token: &str,
) -> Result<(Vec<T>, String), Status> {
    let size = page_size(size)?;
    let mut rest = items.skip_while(|(name, _)| !token.is_empty() && name.as_str() <= token);
    let mut page = Vec::new();
    let mut last = String::new();
    for (name, item) in rest.by_ref().take(size) {
        last = name;
        page.push(item);
    }
    let more = rest.next().is_some();
    Ok((page, if more { last } else { String::new() }))
}

/// 1 to 1000; 0 means 100.
pub(in crate::grpc) fn page_size(size: u32) -> Result<usize, Status> {
    match size {
        0 => Ok(100),
        1..=1_000 => Ok(size as usize),
        _ => Err(invalid("page_size", "at most 1000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(count: usize, size: u32) -> Vec<Vec<usize>> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let items = (0..count).map(|n| (format!("{n:04}"), n));
            let (page, next) = page(items, size, &token).unwrap();
            all.push(page);
            if next.is_empty() {
                return all;
            }
            token = next;
        }
    }

    #[test]
    fn pages_cover_everything_once_in_order() {
        for (count, size) in [
            (0, 1),
            (1, 1),
            (5, 2),
            (6, 2),
            (100, 0),
            (101, 0),
            (7, 1000),
        ] {
            let all: Vec<_> = pages(count, size).concat();
            assert_eq!(all, (0..count).collect::<Vec<_>>(), "{count} by {size}");
        }
        assert_eq!(pages(6, 2).len(), 3, "no empty last page");
        assert!(page_size(1_001).is_err());
    }
}
