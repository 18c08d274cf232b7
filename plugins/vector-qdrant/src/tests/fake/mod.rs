//! A Qdrant that has what the plugin asks for, in memory: the official types and services on a port of its own.
//!
//! It does what Qdrant documents of the calls it has, looks at every point, and refuses every other call and condition.

mod holds;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
};

use qdrant_client::qdrant::{
    self, CollectionConfig, CollectionDescription, CollectionExists, CollectionInfo, CollectionParams, CountResult,
    DenseVector, Distance, PointId, PointsOperationResponse, RetrievedPoint, ScoredPoint, UpdateResult, Value,
    VectorOutput, VectorParams, Vectors, VectorsConfig, VectorsOutput, WithPayloadSelector, WithVectorsSelector,
    collections_server::{Collections, CollectionsServer},
    point_id::PointIdOptions,
    points_selector::PointsSelectorOneOf,
    points_server::{Points, PointsServer},
    query::Variant,
    vector, vector_input, vector_output, vectors, vectors_config, vectors_output, with_payload_selector,
    with_vectors_selector,
};
use tokio::sync::oneshot;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use holds::is_so;

type Payload = HashMap<String, Value>;
type Answer<T> = Result<Response<T>, Status>;

struct Point {
    vector: Vec<f32>,
    payload: Payload,
}

struct Stored {
    params: VectorParams,
    is_indexed: bool,
    points: BTreeMap<String, Point>,
}

#[derive(Clone, Default)]
struct State {
    collections: Arc<Mutex<BTreeMap<String, Stored>>>,
    calls: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

/// A server that may be killed and started again with all it had.
pub(super) struct Fake {
    state: State,
    pub(super) address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What clients must show.
pub(super) const KEY: &str = "the key";

impl Fake {
    pub(super) fn start() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut fake = Self { state: State::default(), address: free, running: None };
        fake.go_on();
        fake
    }

    /// Starts it again.
    pub(super) fn go_on(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let (state, address) = (self.state.clone(), self.address);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let incoming = TcpIncoming::bind(address).unwrap();
                ready.send(()).unwrap();
                let check = |request: Request<()>| match request.metadata().get("api-key") {
                    Some(key) if key == KEY => Ok(request),
                    _ => Err(Status::unauthenticated("Must provide an API key")),
                };
                let points = PointsServer::new(state.clone()).max_decoding_message_size(usize::MAX);
                let server = Server::builder()
                    .add_service(tonic::service::interceptor::InterceptedService::new(
                        CollectionsServer::new(state),
                        check,
                    ))
                    .add_service(tonic::service::interceptor::InterceptedService::new(points, check))
                    .serve_with_incoming(incoming);
                tokio::select! {
                    served = server => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        is_ready.recv().unwrap();
        self.running = Some((stop, thread));
    }

    /// Ends it at once, with every connection.
    pub(super) fn kill(&mut self) {
        let Some((stop, thread)) = self.running.take() else { return };
        stop.send(()).unwrap();
        thread.join().unwrap();
    }

    /// Returns how often a call was made.
    pub(super) fn calls(&self, name: &str) -> usize {
        self.state.calls.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    /// Makes a collection that is not the plugin's.
    pub(super) fn add_collection(&self, name: &str) {
        let stored = Stored { params: VectorParams::default(), is_indexed: false, points: BTreeMap::new() };
        self.state.lock().insert(name.to_owned(), stored);
    }

    pub(super) fn collections(&self) -> Vec<String> {
        self.state.lock().keys().cloned().collect()
    }

    /// Whether all collections have an index on what conditions look up.
    pub(super) fn is_indexed(&self) -> bool {
        self.state.lock().values().all(|stored| stored.is_indexed)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.kill();
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stored>> {
        self.collections.lock().unwrap()
    }

    fn on<T>(
        &self,
        call: &'static str,
        name: &str,
        act: impl FnOnce(&mut Stored) -> Result<T, Status>,
    ) -> Result<T, Status> {
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
        match self.lock().get_mut(name) {
            Some(stored) => act(stored),
            None => Err(Status::not_found(format!("Not found: Collection `{name}` doesn't exist!"))),
        }
    }

    fn write(
        &self,
        call: &'static str,
        name: &str,
        wait: Option<bool>,
        act: impl FnOnce(&mut Stored) -> Result<(), Status>,
    ) -> Answer<PointsOperationResponse> {
        if wait != Some(true) {
            return Err(Status::invalid_argument("nobody waits until it is written"));
        }
        self.on(call, name, act)?;
        Ok(Response::new(PointsOperationResponse { result: Some(UpdateResult::default()), ..Default::default() }))
    }
}

impl Stored {
    /// Takes a vector as Qdrant does: one long, for cosine.
    fn take(&self, vectors: Option<Vectors>) -> Result<Vec<f32>, Status> {
        let Some(vectors::VectorsOptions::Vector(vector)) = vectors.and_then(|vectors| vectors.vectors_options) else {
            return Err(Status::unimplemented("named vectors"));
        };
        #[expect(deprecated, reason = "clients of old send it there")]
        let mut data = match vector.vector {
            Some(vector::Vector::Dense(dense)) => dense.data,
            None => vector.data,
            _ => return Err(Status::unimplemented("vectors that are not dense")),
        };
        self.check(&data)?;
        let square = data.iter().map(|value| value * value).sum::<f32>();
        if self.params.distance() == Distance::Cosine && square > f32::EPSILON && (square - 1.0).abs() > 1e-6 {
            data.iter_mut().for_each(|value| *value /= square.sqrt());
        }
        Ok(data)
    }

    fn check(&self, data: &[f32]) -> Result<(), Status> {
        if data.len() as u64 == self.params.size {
            return Ok(());
        }
        let message =
            format!("Wrong input: Vector dimension error: expected dim: {}, got {}", self.params.size, data.len());
        Err(Status::invalid_argument(message))
    }

    fn score(&self, one: &[f32], other: &[f32]) -> f32 {
        let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f32>();
        match self.params.distance() {
            Distance::Cosine => {
                let square = dot(one, one);
                dot(one, other) / if square > f32::EPSILON { square.sqrt() } else { 1.0 }
            }
            Distance::Euclid => one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum::<f32>().sqrt(),
            _ => dot(one, other),
        }
    }

    fn selected(&self, selector: Option<qdrant::PointsSelector>) -> Result<Vec<String>, Status> {
        match selector.and_then(|selector| selector.points_selector_one_of) {
            Some(PointsSelectorOneOf::Points(list)) => list.ids.iter().map(name_of).collect(),
            _ => Err(Status::unimplemented("points by a filter")),
        }
    }

    fn matching(&self, filter: Option<&qdrant::Filter>) -> Result<Vec<(&String, &Point)>, Status> {
        let mut matching = Vec::new();
        for (id, point) in &self.points {
            if filter.map_or(Ok(true), |filter| is_so(filter, id, &point.payload))? {
                matching.push((id, point));
            }
        }
        Ok(matching)
    }
}

fn name_of(id: &PointId) -> Result<String, Status> {
    match &id.point_id_options {
        Some(PointIdOptions::Uuid(id)) => Ok(id.clone()),
        _ => Err(Status::unimplemented("numbers as ids")),
    }
}

fn shown(payload: &Payload, selector: Option<&WithPayloadSelector>) -> Payload {
    match selector.and_then(|selector| selector.selector_options.as_ref()) {
        Some(with_payload_selector::SelectorOptions::Include(include)) => payload
            .iter()
            .filter(|(key, _)| include.fields.contains(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        Some(with_payload_selector::SelectorOptions::Enable(true)) => payload.clone(),
        _ => Payload::new(),
    }
}

fn with_vectors(selector: Option<&WithVectorsSelector>, vector: &[f32]) -> Option<VectorsOutput> {
    let Some(with_vectors_selector::SelectorOptions::Enable(true)) = selector?.selector_options else { return None };
    let dense = vector_output::Vector::Dense(DenseVector { data: vector.to_vec() });
    let vector = VectorOutput { vector: Some(dense), ..VectorOutput::default() };
    Some(VectorsOutput { vectors_options: Some(vectors_output::VectorsOptions::Vector(vector)) })
}

fn done() -> Answer<qdrant::CollectionOperationResponse> {
    Ok(Response::new(qdrant::CollectionOperationResponse { result: true, time: 0.0 }))
}

/// A service of which some calls are here; the others are refused.
macro_rules! service {
    ($service:ident { $($here:item)* } refuses { $($name:ident: $request:ident => $response:ident,)* }) => {
        #[tonic::async_trait]
        impl $service for State {
            $($here)*
            $(async fn $name(&self, _: Request<qdrant::$request>) -> Answer<qdrant::$response> {
                Err(Status::unimplemented(stringify!($name)))
            })*
        }
    };
}

service! {
    Collections {
        async fn get(&self, request: Request<qdrant::GetCollectionInfoRequest>) -> Answer<qdrant::GetCollectionInfoResponse> {
            let params = self.on("info", &request.into_inner().collection_name, |stored| Ok(stored.params))?;
            let vectors = VectorsConfig { config: Some(vectors_config::Config::Params(params)) };
            let params = CollectionParams { vectors_config: Some(vectors), ..CollectionParams::default() };
            let config = CollectionConfig { params: Some(params), ..CollectionConfig::default() };
            let info = CollectionInfo { config: Some(config), ..CollectionInfo::default() };
            Ok(Response::new(qdrant::GetCollectionInfoResponse { result: Some(info), ..Default::default() }))
        }

        async fn list(&self, _: Request<qdrant::ListCollectionsRequest>) -> Answer<qdrant::ListCollectionsResponse> {
            let collections = self.lock().keys().map(|name| CollectionDescription { name: name.clone() }).collect();
            Ok(Response::new(qdrant::ListCollectionsResponse { collections, ..Default::default() }))
        }

        async fn create(&self, request: Request<qdrant::CreateCollection>) -> Answer<qdrant::CollectionOperationResponse> {
            let qdrant::CreateCollection { collection_name, vectors_config, .. } = request.into_inner();
            let mut collections = self.lock();
            if collections.contains_key(&collection_name) {
                return Err(Status::already_exists(format!("Collection `{collection_name}` already exists!")));
            }
            let Some(vectors_config::Config::Params(params)) = vectors_config.and_then(|config| config.config) else {
                return Err(Status::unimplemented("named vectors"));
            };
            collections.insert(collection_name, Stored { params, is_indexed: false, points: BTreeMap::new() });
            done()
        }

        async fn delete(&self, request: Request<qdrant::DeleteCollection>) -> Answer<qdrant::CollectionOperationResponse> {
            let was_there = self.lock().remove(&request.into_inner().collection_name).is_some();
            Ok(Response::new(qdrant::CollectionOperationResponse { result: was_there, time: 0.0 }))
        }

        async fn collection_exists(
            &self,
            request: Request<qdrant::CollectionExistsRequest>,
        ) -> Answer<qdrant::CollectionExistsResponse> {
            let exists = self.lock().contains_key(&request.into_inner().collection_name);
            let result = Some(CollectionExists { exists });
            Ok(Response::new(qdrant::CollectionExistsResponse { result, ..Default::default() }))
        }
    }
    refuses {
        update: UpdateCollection => CollectionOperationResponse,
        update_aliases: ChangeAliases => CollectionOperationResponse,
        list_collection_aliases: ListCollectionAliasesRequest => ListAliasesResponse,
        list_aliases: ListAliasesRequest => ListAliasesResponse,
        collection_cluster_info: CollectionClusterInfoRequest => CollectionClusterInfoResponse,
        update_collection_cluster_setup: UpdateCollectionClusterSetupRequest => UpdateCollectionClusterSetupResponse,
        create_shard_key: CreateShardKeyRequest => CreateShardKeyResponse,
        delete_shard_key: DeleteShardKeyRequest => DeleteShardKeyResponse,
        list_shard_keys: ListShardKeysRequest => ListShardKeysResponse,
    }
}

service! {
    Points {
        async fn upsert(&self, request: Request<qdrant::UpsertPoints>) -> Answer<PointsOperationResponse> {
            let qdrant::UpsertPoints { collection_name, wait, points, .. } = request.into_inner();
            self.write("upsert", &collection_name, wait, |stored| {
                for point in points {
                    let id = name_of(&point.id.unwrap_or_default())?;
                    let vector = stored.take(point.vectors)?;
                    stored.points.insert(id, Point { vector, payload: point.payload });
                }
                Ok(())
            })
        }

        async fn delete(&self, request: Request<qdrant::DeletePoints>) -> Answer<PointsOperationResponse> {
            let qdrant::DeletePoints { collection_name, wait, points, .. } = request.into_inner();
            self.write("delete", &collection_name, wait, |stored| {
                for id in stored.selected(points)? {
                    stored.points.remove(&id);
                }
                Ok(())
            })
        }

        async fn get(&self, request: Request<qdrant::GetPoints>) -> Answer<qdrant::GetResponse> {
            let request = request.into_inner();
            let result = self.on("get", &request.collection_name, |stored| {
                let mut found = Vec::new();
                for id in request.ids {
                    if let Some(point) = stored.points.get(&name_of(&id)?) {
                        let payload = shown(&point.payload, request.with_payload.as_ref());
                        found.push(RetrievedPoint { id: Some(id), payload, ..RetrievedPoint::default() });
                    }
                }
                Ok(found)
            })?;
            Ok(Response::new(qdrant::GetResponse { result, ..Default::default() }))
        }

        async fn update_vectors(&self, request: Request<qdrant::UpdatePointVectors>) -> Answer<PointsOperationResponse> {
            let qdrant::UpdatePointVectors { collection_name, wait, points, .. } = request.into_inner();
            self.write("update_vectors", &collection_name, wait, |stored| {
                for point in points {
                    let id = name_of(&point.id.unwrap_or_default())?;
                    let vector = stored.take(point.vectors)?;
                    stored.points.get_mut(&id).ok_or_else(|| Status::not_found(format!("No point with id {id} found")))?.vector =
                        vector;
                }
                Ok(())
            })
        }

        async fn set_payload(&self, request: Request<qdrant::SetPayloadPoints>) -> Answer<PointsOperationResponse> {
            let qdrant::SetPayloadPoints { collection_name, wait, payload, points_selector, .. } = request.into_inner();
            self.write("set_payload", &collection_name, wait, |stored| {
                for id in stored.selected(points_selector)? {
                    let point = stored.points.get_mut(&id);
                    let point = point.ok_or_else(|| Status::not_found(format!("No point with id {id} found")))?;
                    point.payload.extend(payload.clone());
                }
                Ok(())
            })
        }

        async fn create_field_index(&self, request: Request<qdrant::CreateFieldIndexCollection>) -> Answer<PointsOperationResponse> {
            let qdrant::CreateFieldIndexCollection { collection_name, wait, .. } = request.into_inner();
            self.write("create_field_index", &collection_name, wait, |stored| {
                stored.is_indexed = true;
                Ok(())
            })
        }

        async fn scroll(&self, request: Request<qdrant::ScrollPoints>) -> Answer<qdrant::ScrollResponse> {
            let request = request.into_inner();
            let limit = request.limit.unwrap_or(10) as usize;
            let from = request.offset.as_ref().map(name_of).transpose()?;
            let (result, next) = self.on("scroll", &request.collection_name, |stored| {
                let matching = stored.matching(request.filter.as_ref())?;
                let mut rest = matching.into_iter().filter(|(id, _)| from.as_ref().is_none_or(|from| *id >= from));
                let page: Vec<_> = rest.by_ref().take(limit).map(|(id, point)| RetrievedPoint {
                    id: Some(id.clone().into()),
                    payload: shown(&point.payload, request.with_payload.as_ref()),
                    ..RetrievedPoint::default()
                }).collect();
                Ok((page, rest.next().map(|(id, _)| id.clone().into())))
            })?;
            Ok(Response::new(qdrant::ScrollResponse { next_page_offset: next, result, ..Default::default() }))
        }

        async fn count(&self, request: Request<qdrant::CountPoints>) -> Answer<qdrant::CountResponse> {
            let request = request.into_inner();
            let count = self.on("count", &request.collection_name, |stored| Ok(stored.matching(request.filter.as_ref())?.len() as u64))?;
            Ok(Response::new(qdrant::CountResponse { result: Some(CountResult { count }), ..Default::default() }))
        }

        async fn query(&self, request: Request<qdrant::QueryPoints>) -> Answer<qdrant::QueryResponse> {
            let request = request.into_inner();
            let Some(Variant::Nearest(input)) = request.query.and_then(|query| query.variant) else {
                return Err(Status::unimplemented("queries that are not for the nearest"));
            };
            let Some(vector_input::Variant::Dense(DenseVector { data })) = input.variant else {
                return Err(Status::unimplemented("vectors that are not dense"));
            };
            let result = self.on("query", &request.collection_name, |stored| {
                stored.check(&data)?;
                let matching = stored.matching(request.filter.as_ref())?;
                let mut scored: Vec<_> =
                    matching.into_iter().map(|(id, point)| (stored.score(&data, &point.vector), id, point)).collect();
                scored.sort_by(|one, other| other.0.total_cmp(&one.0));
                if stored.params.distance() == Distance::Euclid {
                    scored.reverse();
                }
                scored.truncate(request.limit.unwrap_or(10) as usize);
                Ok(scored.into_iter().map(|(score, id, point)| ScoredPoint {
                    id: Some(id.clone().into()),
                    payload: shown(&point.payload, request.with_payload.as_ref()),
                    score,
                    vectors: with_vectors(request.with_vectors.as_ref(), &point.vector),
                    ..ScoredPoint::default()
                }).collect())
            })?;
            Ok(Response::new(qdrant::QueryResponse { result, ..Default::default() }))
        }
    }
    refuses {
        delete_vectors: DeletePointVectors => PointsOperationResponse,
        overwrite_payload: SetPayloadPoints => PointsOperationResponse,
        delete_payload: DeletePayloadPoints => PointsOperationResponse,
        clear_payload: ClearPayloadPoints => PointsOperationResponse,
        delete_field_index: DeleteFieldIndexCollection => PointsOperationResponse,
        create_vector_name: CreateVectorNameRequest => PointsOperationResponse,
        delete_vector_name: DeleteVectorNameRequest => PointsOperationResponse,
        search: SearchPoints => SearchResponse,
        search_batch: SearchBatchPoints => SearchBatchResponse,
        search_groups: SearchPointGroups => SearchGroupsResponse,
        recommend: RecommendPoints => RecommendResponse,
        recommend_batch: RecommendBatchPoints => RecommendBatchResponse,
        recommend_groups: RecommendPointGroups => RecommendGroupsResponse,
        discover: DiscoverPoints => DiscoverResponse,
        discover_batch: DiscoverBatchPoints => DiscoverBatchResponse,
        update_batch: UpdateBatchPoints => UpdateBatchResponse,
        query_batch: QueryBatchPoints => QueryBatchResponse,
        query_groups: QueryPointGroups => QueryGroupsResponse,
        facet: FacetCounts => FacetResponse,
        search_matrix_pairs: SearchMatrixPoints => SearchMatrixPairsResponse,
        search_matrix_offsets: SearchMatrixPoints => SearchMatrixOffsetsResponse,
    }
}
